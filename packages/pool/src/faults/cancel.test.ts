/** Nothing keeps running in the database for a caller who has gone, and no cancel request hits another caller's query. */

import { Socket } from 'node:net'
import { eventually, startPostgres, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { useDatabase, usePool } from '../../test/pool-kit.js'

const database = useDatabase()
/** In which a query that nobody cancels is still there. */
const STILL_THERE_MS = 300
/** In which one that is cancelled is gone, on a machine that is busy with others too: by itself it would take a minute. */
const GONE_MS = 3_000
/** In which a stop by force has left no backend. */
const FORCED_MS = 300
/** Has its own time, where that of its pool is short. */
const PATIENT = { text: 'select 1 as one', query_timeout: 10_000 }

describe('a query whose time is up', () => {
  it('runs on in the database with pg.Pool', async () => {
    const stock = database.stockPool({ max: 1, query_timeout: 50 })
    await expect(stock.query('select pg_sleep(1)')).rejects.toThrow('Query read timeout')
    await expect(database.waitUntilRunning(0, STILL_THERE_MS)).rejects.toThrow()
    await database.waitUntilRunning(0)
  })

  it('by query_timeout is cancelled, and its connection serves the next caller', async () => {
    const pool = database.pool({ max: 1, query_timeout: 50 })
    await expect(pool.query('select pg_sleep(60)')).rejects.toThrow('Query read timeout')
    await database.waitUntilRunning(0, GONE_MS)
    expect((await pool.query(PATIENT)).rows).toEqual([{ one: 1 }])
    await eventually(() => expect(pool.stats()).toMatchObject({ created: 1, idle: 1 }))
  })

  it('by an aborted signal is cancelled, and its connection serves the next caller', async () => {
    const pool = database.pool({ max: 1 })
    const controller = new AbortController()
    const query = pool.query({ text: 'select pg_sleep(60)', signal: controller.signal }).catch(error => error)
    await database.waitUntilRunning(1)
    controller.abort(new Error('no more'))
    expect(await query).toMatchObject({ message: 'no more' })
    await database.waitUntilRunning(0, GONE_MS)
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await eventually(() => expect(pool.stats()).toMatchObject({ created: 1, idle: 1 }))
  })

  it('says so on its error, but leaves the reason of a signal as it is', async () => {
    const pool = database.pool({ query_timeout: 50 })
    const late = await pool.query('select pg_sleep(60)').catch(error => error)
    expect(late).toMatchObject({ message: 'Query read timeout', mayHaveRun: true })
    const reason = new Error('no more')
    const left = await pool.query({ text: 'select 1', signal: AbortSignal.abort(reason) }).catch(error => error)
    expect(left).toBe(reason)
    expect(left).not.toHaveProperty('mayHaveRun')
  })

  it('is cancelled over TLS as well', async () => {
    const server = await startPostgres({ tls: true })
    onTestFinished(() => server[Symbol.asyncDispose]())
    const url = new URL(server.url)
    url.search = ''
    const pool = usePool({ connectionString: url.href, ssl: { ca: server.ca as string }, max: 1, query_timeout: 50 })
    await expect(pool.query('select pg_sleep(60)')).rejects.toThrow('Query read timeout')
    expect((await pool.query(PATIENT)).rows).toEqual([{ one: 1 }])
    expect(pool.stats()).toMatchObject({ created: 1 })
  })

  it('never costs another caller his query, whichever of query and cancel comes first', async () => {
    const pool = database.pool({ max: 3, pipeline: false })
    const outcomes = new Set<unknown>()
    const others: unknown[] = []
    const impatient = async (): Promise<void> => {
      for (let round = 0; round < 60; round++) {
        const controller = new AbortController()
        const query = pool.query({ text: 'select pg_sleep(0.002)', signal: controller.signal })
        // Mostly about the time that the query takes, and now and then long enough.
        const timer = setTimeout(() => controller.abort('left'), round % 10 === 9 ? 5_000 : round % 6)
        await query.then(
          () => outcomes.add('answered'),
          error => outcomes.add(error),
        )
        clearTimeout(timer)
      }
    }
    const patient = async (): Promise<void> => {
      for (let round = 0; round < 60; round++) await pool.query('select pg_sleep(0.001)').catch(e => others.push(e))
    }
    await Promise.all([impatient(), impatient(), impatient(), patient(), patient(), patient()])
    expect(outcomes).toEqual(new Set(['answered', 'left']))
    expect(others).toEqual([])
  })

  it('keeps its connection from others until the cancel request is over as well', async () => {
    const proxy = await startProxy(testPostgres())
    onTestFinished(() => proxy.close())
    const sockets: Socket[] = []
    const stream = (): Socket => sockets[sockets.push(new Socket()) - 1] as Socket
    const pool = usePool({ connectionString: proxy.url(database.url), max: 1, stream })
    await pool.query('select 1')
    const controller = new AbortController()
    const holder = await database.pool().connect()
    await holder.query('begin')
    await holder.query('select pg_advisory_xact_lock(1)')
    const text = 'select pg_advisory_xact_lock(1)'
    const query = pool.query({ text, signal: controller.signal }).catch(error => error)
    await database.waitingForLocks()
    // The answer has one way to go, the request two.
    proxy.setLatency(400)
    controller.abort()
    await holder.query('commit')
    holder.release()
    await query
    const next = pool.query('select 1')
    pool.once('acquire', () => expect(sockets.map(({ closed }) => closed)).toEqual([false, true]))
    await next
    await eventually(() => expect(pool.stats()).toMatchObject({ created: 1, idle: 1 }))
  })

  it('does so by a bound that is its own: what the pool asks for itself may take longer', async () => {
    const proxy = await startProxy(testPostgres())
    onTestFinished(() => proxy.close())
    proxy.setLatency(100)
    const options = { connectionString: proxy.url(database.url), max: 1, query_timeout: 50 }
    const pool = usePool({ ...options, health: { idleWindow: 0 } })
    const client = await pool.connect()
    client.release()
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(await pool.connect()).toBe(client)
    client.release()
    expect(pool.stats()).toMatchObject({ created: 1, createFailed: 0, lost: 0 })
  })

  it('has its connection closed when no cancel request comes through', async () => {
    const proxy = await startProxy(testPostgres())
    onTestFinished(() => proxy.close())
    const pool = usePool({ connectionString: proxy.url(database.url), max: 1, query_timeout: 50 })
    await pool.query('select 1')
    const [pid] = await database.backends()
    proxy.refuse()
    await expect(pool.query('select pg_sleep(60)')).rejects.toThrow('Query read timeout')
    await proxy.waitForConnections(0)
    await eventually(() => expect(pool.stats()).toMatchObject({ leased: 0, retired: { unhealthy: 1 }, lost: 0 }))
    await database.killBackends([pid as number])
  })
})

describe('a query that still runs', () => {
  it('when its client is released with an error is cancelled', async () => {
    const pool = database.pool()
    const client = await pool.connect()
    const query = client.query('select pg_sleep(60)').catch(error => error)
    await database.waitUntilRunning(1)
    client.release(true)
    expect(await query).toMatchObject({ code: '57014' })
    await database.waitUntilRunning(0, GONE_MS)
  })

  it('runs on in the database when pg.Pool closes its connection', async () => {
    const stock = database.stockPool()
    const client = await stock.connect()
    void client.query('select pg_sleep(1)').catch(() => undefined)
    await database.waitUntilRunning(1)
    client.release(true)
    await expect(database.waitUntilRunning(0, STILL_THERE_MS)).rejects.toThrow()
    await database.waitUntilRunning(0)
  })

  it.each(['client', 'pool'])('on a %s when the pool is disposed of by force leaves no backend', async whose => {
    const pool = database.pool()
    const client = await pool.connect()
    const sleep = 'select pg_sleep(60)'
    const query = (whose === 'client' ? client.query(sleep) : pool.query(sleep)).catch(error => error)
    await database.waitUntilRunning(1)
    const startedAt = performance.now()
    await pool.dispose({ deadline: 0 })
    expect(await database.backends()).toEqual([])
    expect(performance.now() - startedAt).toBeLessThan(FORCED_MS)
    expect(await query).toMatchObject({ code: '57014' })
  })
})
