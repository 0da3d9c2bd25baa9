/** The drop-in while the database fails: no crash, no hang, no storm, and back as soon as the database is. */

import { eventually, type FaultProxy, startPostgres, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { next, useDatabase, usePool } from '../test/pool-kit.js'
import type { Pool } from './pool.js'
import type { PoolConfig } from './pool-options.js'

const database = useDatabase()

async function throughProxy(options?: PoolConfig): Promise<{ proxy: FaultProxy; pool: Pool }> {
  const proxy = await startProxy(testPostgres())
  onTestFinished(() => proxy.close())
  return { proxy, pool: usePool({ connectionString: proxy.url(database.url), ...options }) }
}

describe('a backend that is killed', () => {
  it('while idle is removed and counted, and the next query gets another', async () => {
    const pool = database.pool()
    await pool.query('select 1')
    await database.killBackends(await database.backends())
    await eventually(() => expect(pool.stats()).toMatchObject({ idle: 0, lost: 1, retired: { unhealthy: 1 } }))
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  it('while idle is told to those who listen for errors, with its client', async () => {
    const pool = database.pool()
    const client = await pool.connect()
    client.release()
    const failed = next(pool, 'error')
    await database.killBackends(await database.backends())
    expect(await failed).toEqual([expect.objectContaining({ code: '57P01', client }), client])
  })

  it('at the moment in which it is opened, by a word that came with its first answer, is not kept', async () => {
    const pool = database.pool()
    const lastWord = new Error('terminating connection due to administrator command')
    pool.once('connect', client => client.emit('error', lastWord))
    expect(await pool.query('select 1').catch(error => error)).toBe(lastWord)
    expect(pool.stats()).toMatchObject({ idle: 0, createFailed: 1, lost: 0 })
    await eventually(async () => expect(await database.backends()).toEqual([]))
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  it('while in use fails the query of its user, is no error of the pool, and is closed at its release', async () => {
    const pool = database.pool()
    const errors: unknown[] = []
    pool.on('error', error => errors.push(error))
    const client = await pool.connect()
    const query = client.query('select pg_sleep(60)').catch(error => error)
    await database.killBackends(await database.backends())
    expect(await query).toMatchObject({ code: '57P01' })
    await eventually(() => expect(pool.stats()).toMatchObject({ lost: 1 }))
    expect(pool.totalCount).toBe(1)
    client.release()
    expect(pool.totalCount).toBe(0)
    expect(errors).toEqual([])
  })

  it('while in use, between two queries, fails the next one and harms nobody', async () => {
    const pool = database.pool()
    const client = await pool.connect()
    await database.killBackends(await database.backends())
    await expect(client.query('select 1')).rejects.toThrow()
    client.release()
    await pool.query('select 1')
    await eventually(() => expect(pool.stats()).toMatchObject({ idle: 1, created: 2 }))
  })

  it('under load fails only what was under way', async () => {
    const pool = database.pool({ max: 4 })
    const failures: { code?: string }[] = []
    let isOver = false
    let answered = 0
    const caller = async (): Promise<void> => {
      while (!isOver) {
        await pool.query('select pg_sleep(0.001)').then(
          () => answered++,
          error => failures.push(error),
        )
      }
    }
    const callers = Array.from({ length: 20 }, caller)
    for (let round = 0; round < 5; round++) {
      const before = answered
      await database.killBackends(await database.backends())
      await eventually(() => expect(answered).toBeGreaterThan(before + 50))
    }
    isOver = true
    await Promise.all(callers)
    expect(failures.length).toBeGreaterThan(0)
    expect(failures.length).toBeLessThanOrEqual(20)
    await eventually(() => expect(pool.stats()).toMatchObject({ leased: 0, pending: 0 }))
  })
})

describe('a server', () => {
  it('that is stopped fails callers for that reason, meets few attempts, and is used as soon as it is back', async () => {
    const server = await startPostgres({ own: true })
    onTestFinished(() => server[Symbol.asyncDispose]())
    const pool = usePool({ connectionString: server.url, max: 5, connectionTimeoutMillis: 300 })
    await Promise.all(Array.from({ length: 5 }, () => pool.query('select pg_sleep(0.01)')))
    await server.stop()
    await eventually(() => expect(pool.totalCount).toBe(0))

    const failures: { code?: string; cause?: { code?: string } }[] = []
    const until = performance.now() + 1_000
    const caller = async (): Promise<void> => {
      while (performance.now() < until) await pool.query('select 1').catch(error => failures.push(error))
    }
    await Promise.all(Array.from({ length: 20 }, caller))
    for (const { code, cause } of failures) {
      expect(code === 'POOL_ACQUIRE_TIMEOUT' ? cause?.code : code).toBe('ECONNREFUSED')
    }
    // 5 at first, then one at a time, 20 to 500 ms apart; without that, 20 callers make a storm of it.
    expect(pool.stats().createFailed).toBeLessThan(40)

    await server.start()
    const startedAt = performance.now()
    await eventually(() => pool.query('select 1'))
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })

  it('that does not answer costs a caller connectionTimeoutMillis, and the next ones come through when it does', async () => {
    const { proxy, pool } = await throughProxy({ connectionTimeoutMillis: 100, max: 1 })
    proxy.halfOpen()
    const [first, second] = await Promise.all([
      pool.connect().catch(error => error),
      pool.connect().catch(error => error),
    ])
    expect(first).toMatchObject({
      message: 'Connection terminated due to connection timeout',
      cause: { message: 'Connection terminated unexpectedly', cause: { code: 'POOL_CREATE_TIMEOUT' } },
    })
    expect(second).toMatchObject({ message: expect.stringContaining('timeout'), kind: 'timeout' })
    await proxy.heal()
    await eventually(async () => expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]))
  })

  it('that refuses is named as the cause when a caller gives up', async () => {
    const { proxy, pool } = await throughProxy({ connectionTimeoutMillis: 300, max: 1 })
    proxy.refuse()
    const errors = await Promise.all(Array.from({ length: 20 }, () => pool.connect().catch(error => error)))
    expect(errors[0]).toMatchObject({ code: 'ECONNREFUSED' })
    expect(errors.at(-1)).toMatchObject({
      message: 'timeout exceeded when trying to connect',
      cause: { code: 'ECONNREFUSED' },
      stats: { max: 1 },
    })
  })
})

describe('a caller who waits while a connect is slow', () => {
  /** One client in use, and a caller for whom a connect is under way that takes a second and more. */
  async function slowConnect() {
    const { proxy, pool } = await throughProxy({ max: 2 })
    const client = await pool.connect()
    proxy.setLatency(400)
    const controller = new AbortController()
    const waiting = pool.connect({ signal: controller.signal })
    expect(pool.stats()).toMatchObject({ creating: 1, pending: 1 })
    return { proxy, pool, client, waiting, controller }
  }

  it('gets what is released meanwhile; the new connection is kept for others', async () => {
    const { pool, client, waiting } = await slowConnect()
    client.release()
    expect(await waiting).toBe(client)
    expect(pool.stats()).toMatchObject({ creating: 1 })
    await next(pool, 'connect')
    await eventually(() => expect(pool.stats()).toMatchObject({ creating: 0, idle: 1 }))
    client.release()
  })

  it('gets the new connection when nothing is released', async () => {
    const { client, waiting } = await slowConnect()
    const fresh = await waiting
    expect(fresh).not.toBe(client)
    fresh.release()
    client.release()
  })

  it('waits on when the connect fails before anything is released, and gets the next one', async () => {
    const { proxy, pool, client, waiting } = await slowConnect()
    await proxy.waitForConnections(2)
    proxy.cut()
    const fresh = await waiting
    expect(fresh).not.toBe(client)
    expect(pool.stats()).toMatchObject({ createFailed: 1 })
    fresh.release()
    client.release()
  })

  it('may leave: the new connection is kept for others', async () => {
    const { pool, client, waiting, controller } = await slowConnect()
    controller.abort(new Error('no more'))
    await expect(waiting).rejects.toThrow('no more')
    await next(pool, 'connect')
    await eventually(() => expect(pool.stats()).toMatchObject({ idle: 1, leased: 1, acquireAborted: 1 }))
    client.release()
  })

  it('is rejected when the pool is disposed of at once, and nothing stays open', async () => {
    const { proxy, pool, client, waiting } = await slowConnect()
    const failed = waiting.catch(error => error)
    await pool.dispose({ deadline: 0 })
    expect(await failed).toMatchObject({ code: 'POOL_STOPPING' })
    expect(pool.stats()).toMatchObject({ idle: 0, leased: 0, creating: 0 })
    client.release()
    await proxy.waitForConnections(0)
  })
})
