/** The database's own statistics against a known number of queries. */

import { Pool } from '@breakwater/pool'
import { testPostgres } from '@breakwater/testkit/vitest'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { DatabaseCounter } from './database-counter.js'
import { PoolConnections } from './pool-connections.js'

const CONNECTIONS = 4

/** A pool on a database of its own, with all its connections open, and a counter of that database. */
async function setUp(make: (config: pg.PoolConfig) => pg.Pool) {
  const server = testPostgres()
  const database = await server.createDatabase()
  const pool = make({ connectionString: database.url, max: CONNECTIONS, idleTimeoutMillis: 0 })
  const connections = new PoolConnections(pool)
  await connections.openAll(CONNECTIONS)
  const counter = await DatabaseCounter.open(server.url, database.name)
  onTestFinished(async () => {
    await pool.end()
    await counter.close()
    await database.drop()
  })
  const count = async (work: () => Promise<unknown>): Promise<number> => {
    const { transactions } = await counter.during(() => connections.flushStatistics(), work)
    return transactions
  }
  return { pool, counter, count }
}

describe.each([
  ['pg.Pool', (config: pg.PoolConfig) => new pg.Pool(config)],
  // A connection that is shared for the first time asks a question of its own.
  ['its drop-in', (config: pg.PoolConfig) => new Pool({ ...config, pipeline: false })],
])('through %s, a window', (_, make) => {
  it.each([0, 1, 137])('counts %i queries as exactly as many', async queries => {
    const { pool, count } = await setUp(make)
    const work = () => Promise.all(Array.from({ length: queries }, (_, i) => pool.query('select $1::int', [i])))
    expect(await count(work)).toBe(queries)
    expect(await count(work)).toBe(queries)
  })

  it('counts queries that fail', async () => {
    const { pool, count } = await setUp(make)
    const counted = await count(async () => {
      // pg.Pool closes a connection whose `pool.query` failed; a closing one would report at a time of its own.
      const client = await pool.connect()
      for (let i = 0; i < 3; i++) await expect(client.query('select 1 / 0')).rejects.toThrow('division by zero')
      client.release()
      await pool.query('select 1')
    })
    expect(counted).toBe(4)
  })

  it('counts a transaction of several statements once', async () => {
    const { pool, count } = await setUp(make)
    const counted = await count(async () => {
      const client = await pool.connect()
      for (const statement of ['begin', 'select 1', 'select 2', 'commit']) await client.query(statement)
      client.release()
    })
    expect(counted).toBe(1)
  })

  it('counts neither its own reading nor what other databases do', async () => {
    const { counter, count } = await setUp(make)
    await using other = await testPostgres().createDatabase()
    const counted = await count(async () => {
      for (let i = 0; i < 5; i++) await counter.read()
      for (let i = 0; i < 5; i++) await other.query('select 1')
    })
    expect(counted).toBe(0)
  })
})
