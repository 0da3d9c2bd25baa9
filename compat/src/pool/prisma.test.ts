/**
 * Prisma's adapter for pg over our Pool, driven as Prisma's engine drives it: through the interface of driver adapters.
 * It takes whatever is no `pg.Pool` for a configuration, and would make a pool of its own from it.
 */

import { Pool } from '@breakwater/pool'
import { PrismaPg } from '@prisma/adapter-pg'
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../kit/database.js'

type Adapter = Awaited<ReturnType<PrismaPg['connect']>>
type Query = Parameters<Adapter['queryRaw']>[0]

const database = useDatabase()
beforeAll(() => database.query('create table ship (id serial primary key, name text not null unique)'))

async function connect(options?: ConstructorParameters<typeof PrismaPg>[1]): Promise<{ adapter: Adapter; pool: Pool }> {
  const pool = new Pool({ connectionString: database.url, max: 2 })
  const adapter = await new PrismaPg(pool, { disposeExternalPool: true, ...options }).connect()
  onTestFinished(async () => {
    if (!pool.ending) await pool.end()
    await database.expectNoConnection()
  })
  return { adapter, pool }
}

function query(sql: string, ...args: unknown[]): Query {
  const argTypes = args.map(value => ({
    arity: 'scalar' as const,
    scalarType: typeof value === 'number' ? ('int' as const) : ('string' as const),
  }))
  return { sql, args, argTypes }
}

it('uses our pool itself, and ends it when it was told to', async () => {
  const { adapter, pool } = await connect()
  expect(adapter.underlyingDriver()).toBe(pool)
  await adapter.queryRaw(query('select 1'))
  await adapter.dispose()
  expect(pool.ended).toBe(true)
})

it('leaves our pool as it was, when it was not told to end it', async () => {
  const { adapter, pool } = await connect({ disposeExternalPool: false })
  await adapter.dispose()
  expect(pool.listenerCount('error')).toBe(0)
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

it('reads rows with their types, and counts what it changes', async () => {
  const { adapter } = await connect()
  expect(await adapter.executeRaw(query('insert into ship (name) values ($1), ($2)', 'Argo', 'Beagle'))).toBe(2)
  const result = await adapter.queryRaw(query('select name, 7::int8 as big from ship where name = $1', 'Argo'))
  expect(result).toMatchObject({ columnNames: ['name', 'big'], rows: [['Argo', '7']] })
})

it('commits and rolls back transactions, each on a connection of its own', async () => {
  const { adapter, pool } = await connect()
  const [kept, dropped] = await Promise.all([
    adapter.startTransaction('SERIALIZABLE'),
    adapter.startTransaction('READ COMMITTED'),
  ])
  const level = await kept.queryRaw(query('show transaction_isolation'))
  expect(level.rows).toEqual([['serializable']])
  await kept.executeRaw(query('insert into ship (name) values ($1)', 'Calypso'))
  await dropped.executeRaw(query('insert into ship (name) values ($1)', 'Dunbrody'))
  await kept.executeRaw(query('COMMIT'))
  await kept.commit()
  await dropped.executeRaw(query('ROLLBACK'))
  await dropped.rollback()
  const names = await adapter.queryRaw(query("select name from ship where name in ('Calypso', 'Dunbrody')"))
  expect(names.rows).toEqual([['Calypso']])
  expect(pool).toMatchObject({ idleCount: 2, totalCount: 2 })
  expect(pool.stats().leftInTransaction).toBe(0)
})

it("translates the driver's error, and goes on", async () => {
  const { adapter } = await connect()
  const insert = () => adapter.executeRaw(query('insert into ship (name) values ($1)', 'Endurance'))
  await insert()
  await expect(insert()).rejects.toMatchObject({ cause: { kind: 'UniqueConstraintViolation', originalCode: '23505' } })
  expect((await adapter.queryRaw(query('select 1 as one'))).rows).toEqual([[1]])
})

it('runs a script of several statements', async () => {
  const { adapter } = await connect()
  await adapter.executeScript('create table dock (id int); insert into dock values (1); insert into dock values (2)')
  expect((await adapter.queryRaw(query('select id from dock order by id'))).rows).toEqual([[1], [2]])
})

it('is told of idle and of checked-out connections that are lost, and goes on', async () => {
  const lost: string[] = []
  const { adapter } = await connect({
    onPoolError: () => void lost.push('idle'),
    onConnectionError: () => void lost.push('checked out'),
  })
  await adapter.queryRaw(query('select 1'))
  await database.killBackends()
  await expect.poll(() => lost).toEqual(['idle'])
  const transaction = await adapter.startTransaction()
  await database.killBackends()
  await expect.poll(() => lost).toContain('checked out')
  await transaction.rollback()
  expect((await adapter.queryRaw(query('select 1 as one'))).rows).toEqual([[1]])
})
