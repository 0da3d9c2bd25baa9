/** pg-promise over our Pool, by the module that it lets be replaced: `pgp.pg`. */

import { Pool } from '@breakwater/pool'
import pgPromise, { type IDatabase } from 'pg-promise'
import { afterEach, beforeAll, expect, it, onTestFinished, vi } from 'vitest'
import { useDatabase } from '../kit/database.js'

const pgp = pgPromise({ noWarnings: true })
Object.assign(pgp, { pg: { ...pgp.pg, Pool } })

const database = useDatabase()
beforeAll(() => database.query('create table port (id serial primary key, name text not null unique)'))
afterEach(() => database.query('truncate port'))

function open(max = 2): IDatabase<object> {
  const db = pgp({ connectionString: database.url, max })
  expect(db.$pool).toBeInstanceOf(Pool)
  onTestFinished(async () => {
    if (!db.$pool.ending) await db.$pool.end()
    await database.expectNoConnection()
  })
  return db
}

it('reads and writes by its own methods', async () => {
  const db = open()
  const { id } = await db.one('insert into port (name) values ($1) returning id', 'Oslo')
  expect(await db.oneOrNone('select name from port where id = $<id>', { id })).toEqual({ name: 'Oslo' })
  await db.none('insert into port (name) values ($1), ($2)', ['Bergen', 'Tromsø'])
  expect(await db.map('select name from port order by name', [], ({ name }) => name)).toEqual([
    'Bergen',
    'Oslo',
    'Tromsø',
  ])
  expect(await db.multi('select 1 as one; select 2 as two')).toEqual([[{ one: 1 }], [{ two: 2 }]])
})

it('holds one connection for a task', async () => {
  const db = open()
  const pids = await db.task(async t => [
    await t.one('select pg_backend_pid()'),
    await t.one('select pg_backend_pid()'),
  ])
  expect(pids[0]).toEqual(pids[1])
})

it('commits, rolls back, and nests transactions as savepoints', async () => {
  const db = open(1)
  await db.tx(async t => {
    await t.none(`insert into port (name) values ('outer')`)
    await t
      .tx(async inner => {
        await inner.none(`insert into port (name) values ('inner')`)
        throw new Error('changed my mind')
      })
      .catch(() => undefined)
  })
  const failed = db.tx(async t => {
    await t.none(`insert into port (name) values ('dropped')`)
    throw new Error('changed my mind')
  })
  await expect(failed).rejects.toThrow('changed my mind')
  expect(await db.any('select name from port')).toEqual([{ name: 'outer' }])
  expect(db.$pool).toMatchObject({ totalCount: 1, idleCount: 1 })
})

it("passes the driver's error on, and goes on", async () => {
  const db = open(1)
  const insert = () => db.none(`insert into port (name) values ('twice')`)
  await insert()
  await expect(insert()).rejects.toMatchObject({ code: '23505' })
  expect(await db.one('select count(*)::int from port')).toEqual({ count: 1 })
})

it('is told of a shared connection that is lost, and connects anew', async () => {
  const db = open(1)
  const onLost = vi.fn()
  const shared = await db.connect({ onLost })
  await database.killBackends()
  await expect(shared.one('select 1')).rejects.toThrow()
  await expect.poll(() => onLost.mock.calls.length).toBe(1)
  shared.done(true)
  expect(await db.one('select 1 as one')).toEqual({ one: 1 })
})

it('refuses everything once its pool was ended', async () => {
  const db = open()
  await db.one('select 1')
  await db.$pool.end()
  await expect(db.one('select 1')).rejects.toThrow('Connection pool of the database object has been destroyed.')
})
