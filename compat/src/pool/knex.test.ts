/** Knex over our Pool by its `connectionPool` option, and with its own pool over our pg module. */

import { Pool } from '@breakwater/pool'
import breakwaterPg from '@breakwater/pool/pg'
import knexModule, { type Knex } from 'knex'
import PostgresDialect from 'knex/lib/dialects/postgres/index.js'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../kit/database.js'

const { knex } = knexModule

/** Knex's own way to another driver module. */
class OverBreakwater extends PostgresDialect {
  _driver(): typeof breakwaterPg {
    return breakwaterPg
  }
}

const database = useDatabase()
beforeAll(() => database.query('create table item (id serial primary key, name text not null unique)'))
beforeEach(() => database.query('truncate item'))

/** Knex does not end a pool that it does not own. */
function overOurPool(): Knex {
  const pool = new Pool({ connectionString: database.url, max: 2 })
  const db = knex({ client: 'pg', connectionPool: pool } as Knex.Config)
  onTestFinished(async () => {
    await db.destroy()
    expect(pool.ending).toBe(false)
    await pool.end()
    await database.expectNoConnection()
  })
  return db
}

function overOurModule(): Knex {
  const client = OverBreakwater as unknown as typeof Knex.Client
  const db = knex({ client, connection: database.url, pool: { min: 0, max: 2 } })
  onTestFinished(async () => {
    await db.destroy()
    await database.expectNoConnection()
  })
  return db
}

describe.each([
  ['our Pool as its connectionPool', overOurPool],
  ['its own pool over our pg module', overOurModule],
])('with %s', (_, open) => {
  it('inserts, selects, updates and deletes', async () => {
    const db = open()
    const [inserted] = await db('item').insert({ name: 'anchor' }).returning('*')
    expect(inserted).toEqual({ id: expect.any(Number), name: 'anchor' })
    expect(await db('item').where({ id: inserted.id }).update({ name: 'buoy' })).toBe(1)
    expect(await db('item').where({ name: 'buoy' }).first('id')).toEqual({ id: inserted.id })
    expect(await db('item').where({ id: inserted.id }).delete()).toBe(1)
    expect((await db.raw('select ?::int as n', [7])).rows).toEqual([{ n: 7 }])
  })

  it('commits a transaction on one connection, and rolls back one whose function throws', async () => {
    const db = open()
    const pids = await db.transaction(async trx => {
      const seen = [(await trx.raw('select pg_backend_pid() as pid')).rows]
      await trx('item').insert({ name: 'kept' })
      expect(await db('item').where({ name: 'kept' })).toEqual([])
      return [...seen, (await trx.raw('select pg_backend_pid() as pid')).rows]
    })
    expect(pids[0]).toEqual(pids[1])
    const failed = db.transaction(async trx => {
      await trx('item').insert({ name: 'dropped' })
      throw new Error('changed my mind')
    })
    await expect(failed).rejects.toThrow('changed my mind')
    expect(await db('item').pluck('name')).toEqual(['kept'])
  })

  it('serves more queries at once than it has connections', async () => {
    const db = open()
    const rows = await Promise.all(Array.from({ length: 20 }, (_, n) => db.select(db.raw('?::int as n', [n])).first()))
    expect(rows).toEqual(Array.from({ length: 20 }, (_, n) => ({ n })))
  })

  it("passes the driver's error on, and goes on", async () => {
    const db = open()
    await db('item').insert({ name: 'twice' })
    await expect(db('item').insert({ name: 'twice' })).rejects.toMatchObject({ code: '23505' })
    expect(await db('item').where({ name: 'twice' })).toHaveLength(1)
  })

  it('connects anew after the backends of idle connections were killed', async () => {
    const db = open()
    await Promise.all([db.raw('select pg_sleep(0.05)'), db.raw('select pg_sleep(0.05)')])
    await database.killBackends()
    expect((await db.raw('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

// Over any connectionPool, pg's own too, Knex 3.3 releases a client twice that it streamed from.
it('streams the rows of a query, with its own pool over our pg module', async () => {
  const db = overOurModule()
  const seen: unknown[] = []
  for await (const row of db.select(db.raw('generate_series(1, 250) as n')).stream()) seen.push(row)
  expect(seen).toHaveLength(250)
  expect(seen.at(-1)).toEqual({ n: 250 })
})
