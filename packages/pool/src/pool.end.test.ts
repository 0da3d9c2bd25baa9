/** How the drop-in stops on a real server: every promise settles, and the sockets are closed when it says so. */

import { eventually, type FaultProxy, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { useDatabase, usePool } from '../test/pool-kit.js'
import { Pool } from './pool.js'

const database = useDatabase()

async function someProxy(): Promise<FaultProxy> {
  const proxy = await startProxy(testPostgres())
  onTestFinished(() => proxy.close())
  return proxy
}

async function timeOf(work: Promise<void>): Promise<number> {
  const startedAt = performance.now()
  await work
  return performance.now() - startedAt
}

describe('end', () => {
  it('resolves for a pool that was never used', async () => {
    const pool = new Pool()
    await pool.end()
    expect(pool).toMatchObject({ ending: true, ended: true })
  })

  it('runs what waits, and resolves when every socket is closed', async () => {
    const proxy = await someProxy()
    const pool = database.pool({ max: 2, connectionString: proxy.url(database.url) })
    const done: number[] = []
    const queries = Array.from({ length: 20 }, async (_, n) => {
      await pool.query('select pg_sleep(0.005)')
      done.push(n)
    })
    await pool.end()
    expect(done).toHaveLength(20)
    expect(pool).toMatchObject({ totalCount: 0, ended: true })
    await proxy.waitForConnections(0)
    await Promise.all(queries)
  })

  it('waits for a client that is in use, and closes it when it is released', async () => {
    const pool = database.pool()
    const client = await pool.connect()
    const ended = pool.end()
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    client.release()
    await ended
    await eventually(async () => expect(await database.backends()).toEqual([]))
  })

  it('takes a leaked client away after drainTimeout, and rejects who still waits', async () => {
    const pool = database.pool({ max: 1, drainTimeout: 50 })
    const leaked = await pool.connect()
    const waiting = pool.connect().catch(error => error)
    const running = leaked.query('select pg_sleep(60)').catch(error => error)
    await pool.end()
    expect(await waiting).toMatchObject({ kind: 'rejected', code: 'POOL_STOPPING' })
    expect(await running).toMatchObject({ code: '57014' })
    expect(() => leaked.release()).not.toThrow()
    expect(await database.backends()).toEqual([])
  })

  it('rejects a second time, and every call after the first, in the words of pg', async () => {
    const pool = database.pool()
    const first = pool.end()
    await expect(pool.end()).rejects.toThrow('Called end on pool more than once')
    await first
    for (const late of [pool.connect(), pool.query('select 1')]) {
      await expect(late).rejects.toMatchObject({
        message: 'Cannot use a pool after calling end on the pool',
        kind: 'rejected',
        code: 'POOL_STOPPING',
      })
    }
  })

  it('takes a callback, returns nothing then, and calls it with an error the second time', async () => {
    const pool = database.pool()
    await pool.query('select 1')
    await new Promise<void>(resolve => {
      const returned: unknown = pool.end(error => {
        expect(error).toBeUndefined()
        resolve()
      })
      expect(returned).toBeUndefined()
    })
    expect(pool.ended).toBe(true)
    const late = await Promise.all([
      new Promise(resolve => pool.end(resolve)),
      new Promise(resolve => pool.connect(resolve)),
      new Promise(resolve => pool.query('select 1', resolve)),
    ])
    for (const error of late) expect(error).toBeInstanceOf(Error)
  })
})

describe('dispose', () => {
  it('during a connect that gets no answer ends it, and rejects its caller', async () => {
    const proxy = await someProxy()
    proxy.halfOpen()
    const pool = usePool({ connectionString: proxy.url(database.url) })
    const waiting = pool.connect().catch(error => error)
    await proxy.waitForConnections(1)
    expect(await timeOf(pool.dispose({ deadline: 20 }))).toBeLessThan(500)
    expect(await waiting).toMatchObject({ code: 'POOL_STOPPING' })
    expect(pool.totalCount).toBe(0)
  })

  it('during a goodbye that gets no answer closes the socket all the same', async () => {
    const proxy = await someProxy()
    const pool = usePool({ connectionString: proxy.url(database.url) })
    await pool.query('select 1')
    proxy.halfOpen()
    expect(await timeOf(pool.dispose())).toBeLessThan(2_000)
    expect(pool).toMatchObject({ totalCount: 0, ended: true })
  })

  it('past its deadline says no goodbye', async () => {
    const proxy = await someProxy()
    const pool = usePool({ connectionString: proxy.url(database.url) })
    const client = await pool.connect()
    proxy.halfOpen()
    expect(await timeOf(pool.dispose({ deadline: 20 }))).toBeLessThan(500)
    client.release()
  })

  it('may come again, before or after end', async () => {
    const pool = database.pool()
    await pool.query('select 1')
    await Promise.all([pool.dispose(), pool.dispose({ deadline: 0 }), pool.end(), pool[Symbol.asyncDispose]()])
    await pool.dispose()
  })
})

describe('drain', () => {
  it('serves those who wait, refuses others, and resolves when all are done', async () => {
    const pool = database.pool({ max: 1 })
    const client = await pool.connect()
    const waiting = pool.query('select 1 as one')
    const drained = pool.drain()
    await expect(pool.connect()).rejects.toThrow('Cannot use a pool after calling end on the pool')
    client.release()
    expect((await waiting).rows).toEqual([{ one: 1 }])
    await drained
    await pool.end()
  })

  it('rejects at its deadline and says what is left', async () => {
    const pool = database.pool({ max: 1 })
    const client = await pool.connect()
    await expect(pool.drain({ deadline: 20 })).rejects.toMatchObject({
      code: 'POOL_DRAIN_TIMEOUT',
      message: expect.stringContaining('leased 1'),
    })
    client.release()
  })
})

describe('inUse', () => {
  it('tells of what runs, of who holds a client and of who waits, and of nothing when that is over', async () => {
    const pool = database.pool({ max: 2, leakWarningAfter: '1m', describeCaller: () => 'me' })
    const client = await pool.connect()
    const running = pool.query(`select 'secret' from pg_sleep(0.2)`)
    await eventually(() => pool.inUse().queries.length === 1)
    const waiting = pool.connect()
    const { queries, clients, pending } = pool.inUse()
    expect(queries).toEqual([{ summary: 'SELECT pg_sleep', ageMs: expect.any(Number), caller: 'me' }])
    expect(clients).toHaveLength(2)
    expect(clients[0]).toMatchObject({
      processId: expect.any(Number),
      acquiredAt: expect.stringContaining('pool.end.test'),
    })
    expect(pending).toBe(1)
    client.release()
    const last = await waiting
    last.release()
    await running
    await expect(pool.query('select nothing from nowhere')).rejects.toThrow('nowhere')
    expect(pool.inUse()).toEqual({ queries: [], clients: [], pending: 0 })
    await pool.end()
  })
})
