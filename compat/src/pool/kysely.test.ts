/** Kysely's PostgresDialect over our Pool: set up as in its documentation, with the import of Pool changed. */

import { Pool } from '@breakwater/pool'
import { type Generated, Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../kit/database.js'

interface Tables {
  person: { id: Generated<number>; name: string }
}

const database = useDatabase()
beforeAll(() => database.query('create table person (id serial primary key, name text not null unique)'))

/** Ended after the test by Kysely, which ends the pool; nothing may be connected then. */
function kysely(max = 2): { db: Kysely<Tables>; pool: Pool } {
  const pool = new Pool({ connectionString: database.url, max })
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool, cursor: Cursor }) })
  onTestFinished(async () => {
    await db.destroy()
    await database.expectNoConnection()
  })
  return { db, pool }
}

it('inserts, selects, updates and deletes', async () => {
  const { db } = kysely()
  const inserted = await db.insertInto('person').values({ name: 'Ada' }).returningAll().executeTakeFirstOrThrow()
  expect(inserted).toEqual({ id: expect.any(Number), name: 'Ada' })
  const updated = await db
    .updateTable('person')
    .set({ name: 'Ada L.' })
    .where('id', '=', inserted.id)
    .executeTakeFirst()
  expect(updated.numUpdatedRows).toBe(1n)
  expect(await db.selectFrom('person').select('name').where('id', '=', inserted.id).execute()).toEqual([
    { name: 'Ada L.' },
  ])
  const deleted = await db.deleteFrom('person').where('id', '=', inserted.id).executeTakeFirst()
  expect(deleted.numDeletedRows).toBe(1n)
})

it('commits a transaction on one connection, while others work beside it', async () => {
  const { db } = kysely()
  const backend = sql<{ pid: number }>`select pg_backend_pid() as pid`
  const pids = await db.transaction().execute(async trx => {
    const first = await backend.execute(trx)
    await trx.insertInto('person').values({ name: 'Grace' }).execute()
    const outside = await db.selectFrom('person').selectAll().where('name', '=', 'Grace').execute()
    expect(outside).toEqual([])
    return [first, await backend.execute(trx)].map(({ rows }) => rows[0]?.pid)
  })
  expect(pids[0]).toBe(pids[1])
  expect(await db.selectFrom('person').selectAll().where('name', '=', 'Grace').execute()).toHaveLength(1)
})

it('rolls back a transaction whose function throws', async () => {
  const { db } = kysely(1)
  const failed = db.transaction().execute(async trx => {
    await trx.insertInto('person').values({ name: 'Nobody' }).execute()
    throw new Error('changed my mind')
  })
  await expect(failed).rejects.toThrow('changed my mind')
  expect(await db.selectFrom('person').selectAll().where('name', '=', 'Nobody').execute()).toEqual([])
})

it('streams rows by a cursor, to the end or until its reader has enough', async () => {
  const { db, pool } = kysely(1)
  await db
    .insertInto('person')
    .values([{ name: 's1' }, { name: 's2' }, { name: 's3' }])
    .execute()
  const names: string[] = []
  const query = db.selectFrom('person').select('name').where('name', 'like', 's_').orderBy('name')
  for await (const { name } of query.stream(2)) names.push(name)
  expect(names).toEqual(['s1', 's2', 's3'])
  for await (const { name } of query.stream(1)) {
    expect(name).toBe('s1')
    break
  }
  expect(pool).toMatchObject({ totalCount: 1, idleCount: 1 })
})

it("passes the driver's error on, and goes on", async () => {
  const { db } = kysely(1)
  const insert = () => db.insertInto('person').values({ name: 'twice' }).execute()
  await insert()
  const error = await insert().catch((error: unknown) => error)
  expect(error).toBeInstanceOf(pg.DatabaseError)
  expect(error).toMatchObject({ code: '23505', constraint: 'person_name_key' })
  expect(await db.selectFrom('person').selectAll().where('name', '=', 'twice').execute()).toHaveLength(1)
})

it('calls onCreateConnection once for each connection, which shows that clients keep their identity', async () => {
  const pool = new Pool({ connectionString: database.url, max: 1 })
  let created = 0
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool, onCreateConnection: async () => void created++ }),
  })
  onTestFinished(() => db.destroy())
  for (let i = 0; i < 3; i++) await db.selectFrom('person').selectAll().execute()
  expect(created).toBe(1)
  await database.killBackends()
  await db.selectFrom('person').selectAll().execute()
  expect(created).toBe(2)
})

it('survives a transaction whose backend is killed, and has its place in the pool again', async () => {
  const { db } = kysely(1)
  const failed = db.transaction().execute(async trx => {
    await database.killBackends()
    await trx.selectFrom('person').selectAll().execute()
  })
  await expect(failed).rejects.toThrow()
  expect((await sql`select 1 as one`.execute(db)).rows).toEqual([{ one: 1 }])
})
