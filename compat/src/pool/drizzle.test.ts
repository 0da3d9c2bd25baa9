/** Drizzle's node-postgres driver over our Pool: set up as in its documentation, with the import of Pool changed. */

import { Pool } from '@breakwater/pool'
import { eq, sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgTable, serial, text } from 'drizzle-orm/pg-core'
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../kit/database.js'

const accounts = pgTable('account', {
  id: serial().primaryKey(),
  owner: text().notNull().unique(),
  balance: integer().notNull(),
})

const database = useDatabase()
beforeAll(() =>
  database.query('create table account (id serial primary key, owner text not null unique, balance int not null)'),
)

function open(options?: object): { db: NodePgDatabase; pool: Pool } {
  const pool = new Pool({ connectionString: database.url, max: 4, ...options })
  onTestFinished(async () => {
    await pool.end()
    await database.expectNoConnection()
  })
  return { db: drizzle(pool), pool }
}

/** What tells one session, and one transaction of it, from another. */
const session = sql<{ pid: number; xid: string }>`select pg_backend_pid() as pid, txid_current() as xid`

it('inserts, selects, updates and deletes', async () => {
  const { db } = open()
  const [ada] = await db.insert(accounts).values({ owner: 'Ada', balance: 10 }).returning()
  expect(ada).toEqual({ id: expect.any(Number), owner: 'Ada', balance: 10 })
  await db.update(accounts).set({ balance: 20 }).where(eq(accounts.owner, 'Ada'))
  expect(await db.select({ balance: accounts.balance }).from(accounts)).toEqual([{ balance: 20 }])
  await db.delete(accounts).where(eq(accounts.owner, 'Ada'))
  expect(await db.$count(accounts)).toBe(0)
})

it('runs each of many transactions at once on one connection from BEGIN to COMMIT', async () => {
  const { db, pool } = open()
  const transfer = (owner: string): Promise<unknown[]> =>
    db.transaction(async tx => {
      const seen = [(await tx.execute(session)).rows[0]]
      await tx.insert(accounts).values({ owner, balance: 1 })
      // Others outside any transaction get in between, if the transaction holds no connection.
      await pool.query('select 1')
      seen.push((await tx.execute(session)).rows[0])
      return seen
    })
  // One fewer than there are connections, as each wants a second one for a moment.
  const all = await Promise.all(['a', 'b', 'c'].map(transfer))
  for (const [first, last] of all) expect(last).toEqual(first)
  expect(new Set(all.map(([first]) => (first as { xid: string }).xid)).size).toBe(3)
  expect(await db.$count(accounts, sql`owner in ('a', 'b', 'c')`)).toBe(3)
})

it('rolls back a transaction whose function throws, and one that it rolls back itself', async () => {
  const { db, pool } = open({ max: 1 })
  const failed = db.transaction(async tx => {
    await tx.insert(accounts).values({ owner: 'nobody', balance: 1 })
    throw new Error('changed my mind')
  })
  await expect(failed).rejects.toThrow('changed my mind')
  const rolledBack = db.transaction(async tx => {
    await tx.insert(accounts).values({ owner: 'nobody', balance: 1 })
    tx.rollback()
  })
  await expect(rolledBack).rejects.toThrow('Rollback')
  expect(await db.select().from(accounts).where(eq(accounts.owner, 'nobody'))).toEqual([])
  expect(pool.stats()).toMatchObject({ created: 1, leftInTransaction: 0 })
})

it('nests a transaction as a savepoint, and takes an isolation level', async () => {
  const { db } = open({ max: 1 })
  const level = await db.transaction(
    async tx => {
      await tx.insert(accounts).values({ owner: 'outer', balance: 1 })
      await tx
        .transaction(async inner => {
          await inner.insert(accounts).values({ owner: 'inner', balance: 1 })
          inner.rollback()
        })
        .catch(() => undefined)
      return (await tx.execute(sql`show transaction_isolation`)).rows[0]
    },
    { isolationLevel: 'serializable' },
  )
  expect(level).toEqual({ transaction_isolation: 'serializable' })
  const kept = await db.select({ owner: accounts.owner }).from(accounts).where(sql`owner in ('outer', 'inner')`)
  expect(kept).toEqual([{ owner: 'outer' }])
})

it('prepares a statement by name and runs it on every connection', async () => {
  const { db } = open()
  await db.insert(accounts).values({ owner: 'prepared', balance: 7 })
  const byOwner = db
    .select()
    .from(accounts)
    .where(eq(accounts.owner, sql.placeholder('owner')))
    .prepare('by_owner')
  const found = await Promise.all(Array.from({ length: 8 }, () => byOwner.execute({ owner: 'prepared' })))
  for (const [row] of found) expect(row).toMatchObject({ balance: 7 })
})

it("keeps the driver's error as the cause of its own, and goes on", async () => {
  const { db } = open({ max: 1 })
  const insert = () => db.insert(accounts).values({ owner: 'twice', balance: 1 })
  await insert()
  await expect(insert()).rejects.toMatchObject({ cause: { code: '23505', constraint: 'account_owner_key' } })
  expect((await db.execute(sql`select 1 as one`)).rows).toEqual([{ one: 1 }])
})

it('goes on after the backends of idle connections were killed', async () => {
  const { db } = open()
  await Promise.all([db.execute(session), db.execute(session)])
  await database.killBackends()
  expect((await db.execute(sql`select 1 as one`)).rows).toEqual([{ one: 1 }])
})
