/** `pg.native` of our module, beside pg's own: with pg-native, without it, and with one that is broken. */

import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { useDatabase } from '../kit/database.js'
import { findPgNative } from '../kit/native.js'
import { runFixture } from '../kit/run.js'

const database = useDatabase()
const pgNative = await findPgNative()
const missing = 'missing' in pgNative ? pgNative.missing : ''

/** Runs the program for pg and for ours, and returns what each printed, merged into one object. */
async function runBoth(nodePath: string, url?: string): Promise<[ofPg: object, ofOurs: object]> {
  const program = new URL('native.fixture.ts', import.meta.url)
  const outputs = ['pg', 'ours'].map(async contender => {
    const { lines, stderr } = await runFixture(program, url ? [contender, url] : [contender], {
      env: { NODE_PATH: nodePath },
    })
    return Object.assign({ stderr }, ...lines.map(line => JSON.parse(line)))
  })
  return (await Promise.all(outputs)) as [object, object]
}

const getter = { stderr: '', lazy: true, enumerable: false, configurable: true }

it('is null without pg-native, as in pg', async () => {
  const [ofPg, ofOurs] = await runBoth('')
  expect(ofPg).toEqual({ ...getter, isNull: true, same: true })
  expect(ofOurs).toEqual(ofPg)
})

it('throws what a broken pg-native throws, as in pg', async () => {
  const [ofPg, ofOurs] = await runBoth(fileURLToPath(new URL('../../fixtures/broken-native', import.meta.url)))
  expect(ofPg).toEqual({ ...getter, thrown: 'libpq.so.5: cannot open shared object file' })
  expect(ofOurs).toEqual(ofPg)
})

describe.skipIf(missing)(`with pg-native${missing && ` (skipped: ${missing})`}`, () => {
  it("has a Pool of ours over the native client, and all else of pg's", async () => {
    const [ofPg, ofOurs] = await runBoth((pgNative as { nodePath: string }).nodePath, database.url)
    expect(ofPg).toEqual({
      ...getter,
      // libpq says so itself.
      stderr: 'FATAL:  terminating connection due to administrator command\n',
      isNull: false,
      same: true,
      client: true,
      types: true,
      ownPool: true,
      poolName: true,
      isPool: true,
      native: true,
      hasSocket: false,
      n: 7,
      idle: 1,
      again: [{ word: 'hello' }],
      failed: '42703',
      recovered: [{ one: 1 }],
      ended: true,
      total: 0,
    })
    expect(ofOurs).toEqual(ofPg)
    await database.expectNoConnection()
  })
})
