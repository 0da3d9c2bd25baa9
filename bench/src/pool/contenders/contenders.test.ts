/** That every contender does the same work on the real server: a comparison of pools that do not would be worth nothing. */

import { type Database, eventually } from '@breakwater/testkit'
import { allowLeftovers, testPostgres } from '@breakwater/testkit/vitest'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { CONNECTIONS } from '../../contenders/contender.js'
import { ensureTemplate, TEMPLATE } from '../../data/template.js'
import { loadWorld } from '../../data/world.js'
import type { Lender, OpenPool } from './contender.js'
import { allContenders, importContender, limits, type PoolContenderName } from './index.js'

const world = await loadWorld()
const cities = world.cities.slice(0, 500)
const lenders = allContenders.filter(name => name !== 'postgres.js')
let database: Database

beforeAll(async () => {
  await ensureTemplate(testPostgres().url)
  database = await testPostgres().createDatabase({ template: TEMPLATE })
})
afterAll(() => database.drop())

async function open(name: PoolContenderName): Promise<OpenPool> {
  const contender = await importContender(name)
  const pool = contender.open(database.url, CONNECTIONS)
  onTestFinished(async () => void (await pool.end()))
  return pool
}

/** Backends of the database, the one that asks left out. */
async function backends(): Promise<number[]> {
  const rows = await database.query<{ pid: number }>(
    'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )
  return rows.map(({ pid }) => pid)
}

describe.each(allContenders)('%s', name => {
  it('answers 500 queries at once with the 500 rows of the table, on all its connections and no more', async () => {
    const pool = await open(name)
    const rows = await Promise.all(cities.map(({ id }) => pool.city(id)))
    expect(rows).toEqual(cities)
    expect(await backends()).toHaveLength(CONNECTIONS)
  })

  it('answers with nothing for an id that the table does not have', async () => {
    const pool = await open(name)
    expect(await pool.city(1)).toBeUndefined()
  })

  it('has a connection prepare the query once, and use that from then on', async () => {
    const pool = await open(name)
    for (const { id } of cities.slice(0, 3)) await pool.city(id)
    expect(await backends()).toHaveLength(1)
    // The same connection, as it is idle. Its own text is prepared, too, where a driver prepares everything.
    const text = "select count(*)::int from pg_prepared_statements where statement like '%from cities%'"
    await expect(failureOf(pool, `select ('prepared: ' || (${text}))::int`)).resolves.toContain('prepared: 1')
  })

  it('answers again after the server has closed all its connections', async () => {
    const pool = await open(name)
    await Promise.all(cities.map(({ id }) => pool.city(id)))
    const before = await backends()
    await database.query('select pg_terminate_backend(pid) from unnest($1::int[]) as pid', [before])
    await eventually(async () => expect(await pool.city(cities[0]?.id ?? 0)).toEqual(cities[0]))
    expect((await backends()).filter(pid => before.includes(pid))).toEqual([])
  })
})

describe.each(limits)('%s', name => {
  it('answers 500 queries at once with the 500 rows of the table, on one connection', async () => {
    const pool = await open(name)
    const rows = await Promise.all(cities.map(({ id }) => pool.city(id)))
    expect(rows).toEqual(cities)
    expect(await backends()).toHaveLength(1)
    expect(await pool.city(1)).toBeUndefined()
    await expect(pool.query('select bad')).rejects.toThrow('bad')
    expect(await pool.city(cities[0]?.id ?? 0)).toEqual(cities[0])
  })
})

describe.each(lenders)('%s as a lender', name => {
  it('lends an idle connection again and again, and opens no other', async () => {
    const { lender } = await open(name)
    for (let i = 0; i < 20; i++) {
      const held = await lender?.acquire()
      expect(await backends()).toHaveLength(1)
      lender?.release(held)
    }
  })

  it('lends no dummy to two callers, and as many at once as it has connections', async () => {
    // Dummies have no end, and what the pools do with timers ends with the process that measures them.
    allowLeftovers()
    const contender = await importContender(name)
    const lender = contender.lendDummies?.() as Lender
    let held = 0
    let most = 0
    const call = async (): Promise<void> => {
      const resource = await lender.acquire()
      most = Math.max(most, ++held)
      await new Promise(resolve => setImmediate(resolve))
      held--
      lender.release(resource)
    }
    await Promise.all(Array.from({ length: 100 }, call))
    expect({ held, most }).toEqual({ held: 0, most: CONNECTIONS })
  })
})

async function failureOf(pool: OpenPool, text: string): Promise<string> {
  return pool.query(text).then(
    () => 'no failure',
    error => error.message,
  )
}
