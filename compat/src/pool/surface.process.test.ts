/** What a pool does to the process around it: when it may end, and what it is told. Asked of both pools. */

import { buildProgram } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import { useDatabase } from '../kit/database.js'
import { type Outcome, run as runToItsEnd } from '../kit/run.js'

const database = useDatabase()
const program = await buildProgram(new URL('process.fixture.ts', import.meta.url))

function run(contender: string, mode: string): Promise<Outcome> {
  return runToItsEnd(process.execPath, [...program.args, contender, database.url, mode])
}

describe.concurrent.each([
  ['pg.Pool', 'pg'],
  ["@breakwater/pool's Pool", 'ours'],
])('a process with %s', (_, contender) => {
  it.each<[what: string, mode: string, lines: string[]]>([
    ['ends by itself with idle connections, with allowExitOnIdle', 'exit-on-idle', ['answered']],
    [
      'ends by itself once its connections were closed for being idle',
      'idle-timeout',
      ['answered', 'removed', 'removed'],
    ],
    [
      'is warned of nothing, hears of no error but in callbacks, and ends by itself after end()',
      'busy',
      ['connect: ECONNREFUSED', 'query: 42703', 'ended'],
    ],
    [
      'hears what a callback throws as an uncaught exception, and the pool goes on',
      'throwing-callback',
      ['uncaughtException: from a callback', 'ended'],
    ],
  ])('%s', async (_, mode, lines) => {
    expect(await run(contender, mode)).toEqual({ code: 0, stderr: '', lines })
  })
})

describe.concurrent('where ours is another on purpose', () => {
  it('an idle connection that is lost ends no process that has no listener for errors', async () => {
    const [ofPg, ofOurs] = await Promise.all([run('pg', 'killed-idle'), run('ours', 'killed-idle')])
    expect(ofPg).toMatchObject({ code: 1, stderr: expect.stringContaining("Unhandled 'error' event") })
    expect(ofOurs).toMatchObject({ code: 0, stderr: '', lines: expect.arrayContaining(['[ { one: 1 } ]']) })
  })

  it('a connection that is lost in use ends no process', async () => {
    const [ofPg, ofOurs] = await Promise.all([run('pg', 'killed-in-use'), run('ours', 'killed-in-use')])
    expect(ofPg).toMatchObject({ code: 1, stderr: expect.stringContaining("Unhandled 'error' event") })
    expect(ofOurs).toMatchObject({ code: 0, stderr: '', lines: expect.arrayContaining(['refused', '[ { one: 1 } ]']) })
  })
})
