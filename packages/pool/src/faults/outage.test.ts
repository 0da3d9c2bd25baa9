/** A server that is down, hung or full for a while: callers wait through it, and few attempts meet it. */

import { eventually, type PostgresServer, startPostgres, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { times, useDatabase, usePool, useStockPool, within } from '../../test/pool-kit.js'

const database = useDatabase()
const sleep = 'select pg_sleep(0.01), 1 as one'

async function ownServer(settings: Record<string, string> = {}): Promise<PostgresServer> {
  const server = await startPostgres({ own: true, settings })
  onTestFinished(() => server[Symbol.asyncDispose]())
  return server
}

describe('a server that is stopped and started', () => {
  it('costs each caller of pg.Pool an error, and callers here nothing but the time', async () => {
    const server = await ownServer()
    const stock = useStockPool({ connectionString: server.url, max: 5 })
    const pool = usePool({ connectionString: server.url, max: 5, connectionTimeoutMillis: 30_000 })
    await Promise.all([times(5, () => stock.query(sleep)), times(5, () => pool.query(sleep))])
    await server.stop()
    await eventually(() => expect(pool.totalCount + stock.totalCount).toBe(0))

    for (const answer of await times(20, () => stock.query(sleep)))
      expect(answer).toMatchObject({ code: 'ECONNREFUSED' })
    const during = times(20, () => pool.query(sleep))
    await server.start()
    const startedAt = performance.now()
    for (const answer of await during) expect(answer).toMatchObject({ rows: [{ one: 1 }] })
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })

  it('costs a caller who is there first, before any connect has succeeded, the error of the driver', async () => {
    const server = await ownServer()
    await server.stop()
    await expect(usePool({ connectionString: server.url }).query(sleep)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('costs a caller no longer than connectionTimeoutMillis', async () => {
    const server = await ownServer()
    const pool = usePool({ connectionString: server.url, connectionTimeoutMillis: 200 })
    await pool.query(sleep)
    await server.stop()
    await eventually(() => expect(pool.totalCount).toBe(0))
    const error = await within(600, pool.query(sleep))
    expect(error).toMatchObject({ code: 'POOL_ACQUIRE_TIMEOUT', cause: { code: 'ECONNREFUSED' } })
  })
})

it('a server that refuses under load costs callers of pg.Pool a thousand errors in seconds, and here none', async () => {
  const proxy = await startProxy(testPostgres())
  onTestFinished(() => proxy.close())
  const url = proxy.url(database.url)
  const stock = useStockPool({ connectionString: url, max: 5 })
  // Longer than the server is away, on a machine that is busy with others too.
  const pool = usePool({ connectionString: url, max: 5, connectionTimeoutMillis: 60_000 })
  await Promise.all([times(5, () => stock.query(sleep)), times(5, () => pool.query(sleep))])

  let isOver = false
  const errorsOfStock: unknown[] = []
  const errors: unknown[] = []
  const load = (each: { query(text: string): Promise<unknown> }, errors: unknown[]): Promise<unknown> =>
    times(20, async () => {
      while (!isOver) await each.query(sleep).catch(error => errors.push(error))
    })
  proxy.refuse()
  // Between two queries of each, so that what is cut is idle.
  await eventually(() => pool.idleCount === 5 && stock.idleCount === 5)
  proxy.cut()
  await eventually(() => expect(pool.totalCount + stock.totalCount).toBe(0))
  const both = Promise.all([load(stock, errorsOfStock), load(pool, errors)])
  await eventually(() => expect(errorsOfStock.length).toBeGreaterThan(1_000), 15_000)
  await proxy.heal()
  const before = pool.stats().acquired
  await eventually(() => expect(pool.stats().acquired).toBeGreaterThan(before + 50), 15_000)
  isOver = true
  await both
  expect(errors).toEqual([])
  expect(pool.stats().createFailed).toBeLessThan(50)
})

it('a server that hangs holds callers of pg.Pool for as long, and here for connectionTimeoutMillis', async () => {
  const server = await ownServer()
  onTestFinished(() => server.resume())
  const stock = useStockPool({ connectionString: server.url, connectionTimeoutMillis: 300 })
  const health = { idleWindow: 0, timeout: 100 }
  const pool = usePool({ connectionString: server.url, connectionTimeoutMillis: 300, health })
  await Promise.all([stock.query(sleep), pool.query(sleep)])
  await new Promise(resolve => setTimeout(resolve, 50))
  server.hang()
  const held = stock.query(sleep)
  const [ofStock, ours] = await Promise.all([within(800, held), within(800, pool.query(sleep))])
  expect(ofStock).toBe('pending')
  expect(ours).toMatchObject({ kind: 'timeout' })
  server.resume()
  await held
  // It has the connects of a hang's length to answer first.
  await eventually(async () => expect(await pool.query(sleep)).toMatchObject({ rows: [{ one: 1 }] }))
})

describe('a server that takes no more connections', () => {
  it('costs callers of pg.Pool errors; here they share those that there are', async () => {
    const server = await ownServer({ max_connections: '5', superuser_reserved_connections: '0' })
    const pool = usePool({ connectionString: server.url, max: 4 })
    await pool.query(sleep)
    // Others have what is left, but for one.
    const others = Array.from({ length: 3 }, () => new pg.Client(server.url))
    await Promise.all(others.map(other => other.connect()))
    onTestFinished(async () => void (await Promise.all(others.map(other => other.end()))))

    const stock = useStockPool({ connectionString: server.url, max: 4 })
    const ofStock = await times(20, () => stock.query(sleep))
    expect(ofStock.filter(each => (each as { code?: string }).code === '53300').length).toBeGreaterThan(0)
    for (const answer of await times(20, () => pool.query(sleep))) expect(answer).toMatchObject({ rows: [{ one: 1 }] })
    expect(pool.stats().createFailed).toBeGreaterThan(0)
  })
})
