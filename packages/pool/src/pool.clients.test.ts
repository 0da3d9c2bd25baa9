/** What becomes of a client on a real server between two callers: its transaction, its query, its age. */

import { eventually, FakeClock, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { next, useDatabase } from '../test/pool-kit.js'
import type { PoolEvent } from './pool-events.js'

const database = useDatabase()

describe('a client released inside a transaction', () => {
  it.each([
    ['open', 'select 1', 'T'],
    ['failed', 'select bad', 'E'],
  ])('that is %s is rolled back before the next caller gets it', async (_, statement, status) => {
    const pool = database.pool({ max: 1 })
    const events: PoolEvent[] = []
    pool.observe(event => events.push(event))
    const client = await pool.connect()
    await client.query('begin')
    await client.query('create table left_open (id int)')
    await client.query(statement).catch(() => undefined)
    // The server's refusal comes before its status.
    await eventually(() => expect(client.getTransactionStatus()).toBe(status))
    const waiting = pool.connect()
    client.release()

    const again = await waiting
    expect(again).toBe(client)
    expect(again.getTransactionStatus()).toBe('I')
    expect((await again.query("select to_regclass('left_open') as found")).rows).toEqual([{ found: null }])
    again.release()
    expect(events).toContainEqual({ type: 'transaction-left-open', pool: 'postgres', rolledBack: true })
    expect(pool.stats()).toMatchObject({ leftInTransaction: 1, created: 1 })
  })

  it('by a text of several statements that fails is rolled back as well', async () => {
    const pool = database.pool({ max: 1 })
    await expect(pool.query('begin; select bad')).rejects.toMatchObject({ code: '42703' })
    const client = await pool.connect()
    expect(client.getTransactionStatus()).toBe('I')
    client.release()
    expect(pool.stats()).toMatchObject({ leftInTransaction: 1, created: 1 })
  })

  it('is closed if it cannot be rolled back', async () => {
    const pool = database.pool({ max: 1 })
    const client = await pool.connect()
    await client.query('begin')
    const [pid] = await database.backends()
    client.release()
    await database.killBackends([pid as number])
    await pool.query('select 1')
    await eventually(() => expect(pool.stats()).toMatchObject({ created: 2, idle: 1, leased: 0 }))
  })

  it('is closed if the server does not answer the rollback', async () => {
    const proxy = await startProxy(testPostgres())
    onTestFinished(() => proxy.close())
    const pool = database.pool({ connectionString: proxy.url(database.url) })
    const events: PoolEvent[] = []
    pool.observe(event => events.push(event))
    const client = await pool.connect()
    await client.query('begin')
    proxy.halfOpen()
    client.release()
    await eventually(() => expect(pool.stats()).toMatchObject({ leased: 0, idle: 0, retired: { unhealthy: 1 } }))
    expect(events).toContainEqual({ type: 'transaction-left-open', pool: 'postgres', rolledBack: false })
  })

  it('whose pool is disposed of meanwhile holds nothing up', async () => {
    const pool = database.pool({ max: 1 })
    const client = await pool.connect()
    await client.query('begin')
    client.release()
    await pool.dispose()
    expect(pool).toMatchObject({ totalCount: 0, ended: true })
  })
})

describe('a client released while its query runs', () => {
  it('is kept from others until that is over, and the query keeps its result', async () => {
    const pool = database.pool({ max: 2 })
    const client = await pool.connect()
    const slow = client.query('select pg_sleep(0.3), 7 as n')
    client.release()
    const other = await pool.connect()
    expect(other).not.toBe(client)
    const [third] = await Promise.all([pool.connect(), slow])
    expect((await slow).rows).toMatchObject([{ n: 7 }])
    expect(third).toBe(client)
    other.release()
    third.release()
  })

  it('is closed when its backend dies of it', async () => {
    const pool = database.pool({ max: 1 })
    const client = await pool.connect()
    const slow = client.query('select pg_sleep(60)').catch(error => error)
    client.release()
    await database.killBackends(await database.backends())
    expect(await slow).toMatchObject({ code: '57P01' })
    await eventually(() => expect(pool.totalCount).toBe(0))
  })
})

describe('a client', () => {
  it('is closed after idleTimeoutMillis, down to min', async () => {
    const pool = database.pool({ max: 3, min: 1, idleTimeoutMillis: 30 })
    const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect()])
    for (const client of clients) client.release()
    expect(pool.idleCount).toBe(3)
    await eventually(async () => expect(await database.backends()).toHaveLength(1))
    expect(pool).toMatchObject({ totalCount: 1, idleCount: 1 })
  })

  it('stays when idleTimeoutMillis is 0', async () => {
    const clock = new FakeClock()
    const pool = database.pool({ idleTimeoutMillis: 0, health: false, clock })
    await pool.query('select 1')
    await clock.advance(86_400_000)
    expect(pool.idleCount).toBe(1)
    await pool.end()
  })

  it('is closed at maxLifetimeSeconds: idle then, in use when it is released', async () => {
    const pool = database.pool({ max: 2, maxLifetimeSeconds: 0.1 })
    const [busy, idle] = await Promise.all([pool.connect(), pool.connect()])
    const removed = next(pool, 'remove')
    idle.release()
    expect(await removed).toEqual([idle])
    // Lifetimes are jittered: the other one's may end a little later.
    await eventually(() => expect(pool.expiredCount).toBe(1))
    busy.release()
    expect(pool).toMatchObject({ totalCount: 0, expiredCount: 0 })
  })

  it('is closed after maxUses, and a caller who waits gets a new one', async () => {
    const pool = database.pool({ max: 1, maxUses: 2 })
    const client = await pool.connect()
    client.release()
    const again = await pool.connect()
    expect(again).toBe(client)
    const waiting = pool.connect()
    again.release()
    const fresh = await waiting
    expect(fresh).not.toBe(client)
    fresh.release()
  })

  it('that is new passes verify first; if not, the caller gets its error and it is closed', async () => {
    const refusals = [new Error('nope')]
    const verified: unknown[] = []
    const pool = database.pool({
      max: 1,
      verify(client, done) {
        verified.push(client)
        done(refusals.pop())
      },
    })
    await expect(pool.query('select 1')).rejects.toThrow('nope')
    expect(pool.totalCount).toBe(0)
    await pool.query('select 1')
    await pool.query('select 1')
    expect(verified).toHaveLength(2)
  })

  it('that is new is prepared by onConnect, whose error is the caller’s', async () => {
    let isBroken = true
    const pool = database.pool({
      max: 1,
      async onConnect(client) {
        await client.query(isBroken ? 'select bad' : "set application_name = 'prepared'")
      },
    })
    await expect(pool.query('select 1')).rejects.toMatchObject({ code: '42703' })
    expect(pool.totalCount).toBe(0)
    isBroken = false
    expect((await pool.query('show application_name')).rows).toEqual([{ application_name: 'prepared' }])
    await eventually(async () => expect(await database.backends()).toHaveLength(1))
  })

  it('whose user removed all listeners does no harm when it is lost while idle', async () => {
    const pool = database.pool()
    const client = await pool.connect()
    client.removeAllListeners()
    client.release()
    await database.killBackends(await database.backends())
    await eventually(() => expect(pool.totalCount).toBe(0))
  })
})

describe('init', () => {
  it('connects min clients and keeps that many', async () => {
    const pool = database.pool({ min: 2, idleTimeoutMillis: 20 })
    await pool.init()
    expect(pool).toMatchObject({ totalCount: 2, idleCount: 2 })
    await database.killBackends(await database.backends())
    await eventually(() => expect(pool.stats()).toMatchObject({ idle: 2, created: 4 }))
  })

  it('connects one when min is 0', async () => {
    const pool = database.pool()
    await pool.init()
    expect(pool.idleCount).toBe(1)
  })

  it('rejects with the error of the driver if it cannot connect, and leaves nothing behind', async () => {
    const url = new URL(database.url)
    url.pathname = '/no_such_database'
    const pool = database.pool({ connectionString: url.href, min: 2 })
    await expect(pool.init()).rejects.toMatchObject({ code: '3D000' })
    expect(pool.totalCount).toBe(0)
  })
})
