/** Real servers of our own: variants, faults, snapshots, and what a failed start says. */

import { existsSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { eventually } from '../eventually.js'
import { unprivilegedAccount } from '../process/account.js'
import { sharedMemoryOf } from '../process/shared-memory.mjs'
import { isAlive, processTree } from '../process/tree.mjs'
import { postgresBinaries } from './binaries.js'
import { findSnapshot } from './data-folder.js'
import { startPostgres } from './start-postgres.js'

async function connect(url: string): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

test('a server of our own starts, answers in databases of its own, and is gone when disposed of', async () => {
  let pid: number | undefined
  {
    await using server = await startPostgres({ own: true, settings: { max_connections: '17' } })
    pid = server.pid
    expect(server.version).toMatch(/^18\./)
    expect(new URL(server.url).port).toBe(String(server.port))
    await using one = await server.createDatabase()
    await using copied = await server.createDatabase()
    await one.query('create table city (id int)')
    await one.query('insert into city values ($1)', [7])
    expect(await one.query('select id from city')).toEqual([{ id: 7 }])
    await expect(copied.query('select id from city')).rejects.toMatchObject({ code: '42P01' })
    await using fromTemplate = await server.createDatabase({ template: one.name })
    expect(await fromTemplate.query('select id from city')).toEqual([{ id: 7 }])
    expect(await one.query('show max_connections')).toEqual([{ max_connections: '17' }])
  }
  expect(pid !== undefined && isAlive(pid)).toBe(false)
})

test('with TLS only clients that use it get in, and its certificate is valid for its address', async () => {
  await using server = await startPostgres({ own: true, tls: true })
  await using database = await server.createDatabase()
  const [row] = await database.query<{ ssl: boolean }>('select ssl from pg_stat_ssl where pid = pg_backend_pid()')
  expect(row?.ssl).toBe(true)

  const plain = new URL(database.url)
  plain.search = ''
  await expect(connect(plain.href)).rejects.toMatchObject({ code: '28000' })
  const trusting = new pg.Client({ connectionString: plain.href, ssl: { ca: server.ca ?? '' } })
  await trusting.connect()
  await trusting.end()
  const stranger = new pg.Client({ connectionString: plain.href, ssl: true })
  await expect(stranger.connect()).rejects.toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })
})

test.each(['plain', `it's "a" \\ back\\\\slash $1 é`])(
  'with the password %j only those who know it get in',
  async password => {
    await using server = await startPostgres({ own: true, password })
    await using database = await server.createDatabase()
    expect(await database.query('select 1 as one')).toEqual([{ one: 1 }])
    const url = new URL(database.url)
    url.password = 'wrong'
    await expect(connect(url.href)).rejects.toMatchObject({ code: '28P01' })
  },
)

test('a hung server stands still with all its backends, and goes on where it was', async () => {
  await using server = await startPostgres({ own: true })
  await using database = await server.createDatabase()
  await using client = await connect(database.url)
  const tree = processTree(server.pid ?? 0)
  expect(tree.length).toBeGreaterThan(4)

  server.hang()
  await eventually(() => tree.every(pid => stateOf(pid) === 'T'))
  let isAnswered = false
  const answer = client.query('select 1 as one').finally(() => {
    isAnswered = true
  })
  for (let turn = 0; turn < 100; turn++) await nextTurn()
  expect(isAnswered).toBe(false)

  server.resume()
  expect((await answer).rows).toEqual([{ one: 1 }])
})

test('a hung server can be stopped, and a database of a hung or killed one can be dropped without waiting', async () => {
  await using server = await startPostgres({ own: true })
  const database = await server.createDatabase()
  server.hang()
  await database.drop()
  const start = performance.now()
  await server.stop()
  // Not by the force that is used after 5 s.
  expect(performance.now() - start).toBeLessThan(4_000)
  expect(server.pid).toBeUndefined()
  await database.drop()
})

test('a killed server leaves no process, and starts again on its port with its data', async () => {
  await using server = await startPostgres({ own: true })
  await using database = await server.createDatabase()
  await database.query('create table city as select 42 as id')
  await using client = await connect(database.url)
  const tree = processTree(server.pid ?? 0)
  expect(tree.flatMap(sharedMemoryOf).length).toBe(1)

  await server.kill()
  expect(tree.filter(isAlive)).toEqual([])
  expect(tree.flatMap(sharedMemoryOf)).toEqual([])
  expect(server.pid).toBeUndefined()
  await expect(client.query('select 1')).rejects.toThrow()
  await expect(database.query('select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  expect(() => server.hang()).toThrow('Postgres: hang() while it does not run')

  await server.start()
  expect(await database.query('select id from city')).toEqual([{ id: 42 }])
  await expect(server.start()).rejects.toThrow('Postgres: start() while it runs')
  await server.stop()
  await server.start()
  expect(await database.query('select id from city')).toEqual([{ id: 42 }])
})

test('a server that someone else killed is noticed', async () => {
  await using server = await startPostgres({ own: true })
  process.kill(server.pid ?? 0, 'SIGKILL')
  await eventually(() => server.pid === undefined)
  await server.start()
  expect(server.pid).toBeDefined()
})

test('a server that cannot start is an error that quotes the end of its log', async () => {
  const failure = startPostgres({ own: true, settings: { work_mem: 'plenty' } })
  await expect(failure).rejects.toMatchObject({ kind: 'failed', code: 'TESTKIT_SERVER_START' })
  await expect(failure).rejects.toThrow(/Postgres ended during its start; its log ends:\n(.|\n)*"work_mem": "plenty"/)
})

test('a snapshot is prepared once, and later servers start on a copy of it', async () => {
  const name = `test-${process.pid}`
  let prepared = 0
  const snapshot = {
    name,
    async prepare(server: Awaited<ReturnType<typeof startPostgres>>) {
      prepared++
      await using database = await server.createDatabase()
      await database.query('create role snapshot_was_here')
    },
  }
  const kept = async () => findSnapshot(await postgresBinaries(unprivilegedAccount()), name)
  try {
    for (let round = 1; round <= 2; round++) {
      await using server = await startPostgres({ own: true, snapshot, password: `secret ${round}` })
      await using database = await server.createDatabase()
      const found = await database.query("select 1 as one from pg_roles where rolname = 'snapshot_was_here'")
      expect(found).toEqual([{ one: 1 }])
      expect(prepared).toBe(1)
    }
    expect(existsSync((await kept()) ?? '')).toBe(true)
  } finally {
    await rm((await kept()) ?? '', { recursive: true })
  }
})

test('a snapshot whose preparation fails is not kept, and its server is gone', async () => {
  const name = `test-failing-${process.pid}`
  let pid: number | undefined
  const failure = startPostgres({
    own: true,
    snapshot: {
      name,
      async prepare(server) {
        pid = server.pid
        throw new Error('no cities today')
      },
    },
  })
  await expect(failure).rejects.toThrow('no cities today')
  expect(pid !== undefined && isAlive(pid)).toBe(false)
  expect(findSnapshot(await postgresBinaries(unprivilegedAccount()), name)).toBeUndefined()
})

test('a snapshot name that is no file name is refused', async () => {
  const snapshot = { name: '../cities', prepare: async () => {} }
  await expect(startPostgres({ own: true, snapshot })).rejects.toMatchObject({ kind: 'usage' })
})

/** Linux's word for what the process does: `T` is stopped. */
function stateOf(pid: number): string | undefined {
  return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1]
}
