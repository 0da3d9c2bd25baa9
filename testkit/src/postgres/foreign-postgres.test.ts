/** Somebody else's Postgres, named by DATABASE_URL: used, never touched, and clearly missed. */

import { afterEach, expect, test, vi } from 'vitest'
import { freePort } from '../process/port.js'
import { testPostgres } from '../vitest.js'
import { startPostgres } from './start-postgres.js'

afterEach(() => {
  vi.unstubAllEnvs()
})

test('DATABASE_URL is used, and its server can be neither hung nor killed nor stopped', async () => {
  vi.stubEnv('DATABASE_URL', testPostgres().url)
  await using server = await startPostgres()
  expect(server.port).toBe(testPostgres().port)
  expect(server.pid).toBeUndefined()
  await using database = await server.createDatabase()
  expect(await database.query('select current_database() as name')).toEqual([{ name: database.name }])
  expect(() => server.hang()).toThrow('hang() is not for this server: it comes from DATABASE_URL')
  expect(() => server.resume()).toThrow('DATABASE_URL')
  await expect(server.kill()).rejects.toThrow('{ own: true }')
  await expect(server.start()).rejects.toMatchObject({ kind: 'usage' })
  await server.stop()
  expect(await database.query('select 1 as one')).toEqual([{ one: 1 }])
})

test('the databases of somebody else’s server are gone when disposed of', async () => {
  vi.stubEnv('DATABASE_URL', testPostgres().url)
  await using server = await startPostgres()
  let name: string
  {
    await using database = await server.createDatabase()
    name = database.name
  }
  await using observer = await server.createDatabase()
  expect(await observer.query('select 1 from pg_database where datname = $1', [name])).toEqual([])
})

test('on somebody else’s server a snapshot is prepared each time', async () => {
  vi.stubEnv('DATABASE_URL', testPostgres().url)
  let prepared = 0
  const snapshot = {
    name: 'cities',
    async prepare() {
      prepared++
    },
  }
  await startPostgres({ snapshot })
  await startPostgres({ snapshot })
  expect(prepared).toBe(2)
})

test.each([{ own: true }, { tls: true }, { password: 'mine' }])('%o asks for a server of our own', async options => {
  vi.stubEnv('DATABASE_URL', testPostgres().url)
  await using server = await startPostgres(options)
  expect(server.port).not.toBe(testPostgres().port)
  expect(server.pid).toBeDefined()
})

test('a DATABASE_URL that leads nowhere is one clear line, without the password', async () => {
  const port = await freePort()
  vi.stubEnv('DATABASE_URL', `postgres://ann:s3cret@127.0.0.1:${port}/shop`)
  const failure = await startPostgres().catch((error: Error) => error)
  expect(failure).toMatchObject({ kind: 'failed', code: 'TESTKIT_DATABASE_URL' })
  expect(String(failure)).toBe(
    `BreakwaterError: DATABASE_URL cannot connect to ann@127.0.0.1:${port}/shop: connect ECONNREFUSED 127.0.0.1:${port}; ` +
      'mend it, or unset it to have a server started',
  )
})

test.each(['s3cret', 'postgres://ann:s3cret@:99999999/shop'])(
  'DATABASE_URL=%s is said to be no URL, and not shown',
  async url => {
    vi.stubEnv('DATABASE_URL', url)
    const failure = await startPostgres().catch((error: Error) => error)
    expect(failure).toMatchObject({ code: 'TESTKIT_DATABASE_URL' })
    expect(String(failure)).toContain('DATABASE_URL is not a URL such as')
    expect(String(failure)).not.toContain('s3cret')
  },
)
