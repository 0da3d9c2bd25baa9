/** Connections whose other end is gone without a word are found, idle or in use; slow ones are let be. */

import { eventually, type FaultProxy, startPostgres, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { times, useDatabase, usePool, useStockPool, within } from '../../test/pool-kit.js'
import type { PoolEvent } from '../pool-events.js'
import type { PoolConfig } from '../pool-options.js'

const database = useDatabase()

async function throughProxy(options: PoolConfig) {
  const proxy = await startProxy(testPostgres())
  onTestFinished(() => proxy.close())
  const connectionString = proxy.url(database.url)
  return { proxy, pool: usePool({ connectionString, ...options }), stock: useStockPool({ connectionString }) }
}

/** The present connections never hear or say anything again; new ones work. */
async function killSilently(proxy: FaultProxy): Promise<void> {
  proxy.halfOpen()
  await proxy.heal()
}

describe('idle connections that are half-open', () => {
  it('hold callers of pg.Pool for ever, and callers here for one time-out, however many there are', async () => {
    const { proxy, pool, stock } = await throughProxy({ health: { idleWindow: 0, timeout: 500 } })
    const losses: PoolEvent[] = []
    pool.observe(event => void (event.type === 'connection-lost' && losses.push(event)))
    await times(5, () => pool.query('select pg_sleep(0.01)'))
    await stock.query('select 1')
    await killSilently(proxy)
    await new Promise(resolve => setTimeout(resolve, 50))
    const [ofStock, ours] = await Promise.all([
      within(2_000, stock.query('select 1')),
      within(2_000, pool.query('select 1 as one')),
    ])
    expect(ofStock).toBe('pending')
    expect(ours).toMatchObject({ rows: [{ one: 1 }] })
    // The one that was asked is lost; the others are closed on a doubt.
    expect(pool.stats()).toMatchObject({ lost: 1, retired: { unhealthy: 5 }, created: 6 })
    const error = expect.objectContaining({ kind: 'timeout', code: 'POOL_VALIDATE_TIMEOUT' })
    expect(losses).toEqual([expect.objectContaining({ inUse: false, error, processId: expect.any(Number) })])
  })

  it('are found and replaced while nobody asks for them', async () => {
    const { proxy, pool } = await throughProxy({ min: 3, health: { keepalive: 300, timeout: 300 } })
    await pool.init()
    const before = new Set(await times(3, async () => (await pool.query('select pg_backend_pid() as pid')).rows[0].pid))
    const replaced = new Promise<void>(resolve => {
      pool.observe(({ type }) => type === 'created' && pool.stats().retired.unhealthy >= 3 && resolve())
    })
    await killSilently(proxy)
    await replaced
    const { rows } = await pool.query('select pg_backend_pid() as pid')
    expect(before).not.toContain(rows[0].pid)
  })

  it('are not asked within the idle window, and what answers is kept', async () => {
    const { proxy, pool } = await throughProxy({ health: { idleWindow: '1h' } })
    await pool.query('select 1')
    await killSilently(proxy)
    expect(await within(300, pool.query('select 1'))).toBe('pending')
    const asked = database.pool({ health: { idleWindow: 0 } })
    for (let round = 0; round < 3; round++) {
      await asked.query('select 1')
      await new Promise(resolve => setTimeout(resolve, 30))
    }
    expect(asked.stats()).toMatchObject({ created: 1 })
  })
})

describe('a query on a half-open connection', () => {
  const health = { deadAfter: 200, timeout: 500 }

  it('waits for ever with pg.Pool', async () => {
    const { proxy, stock } = await throughProxy({ health })
    const client = await stock.connect()
    await killSilently(proxy)
    expect(await within(800, client.query('select 1'))).toBe('pending')
  })

  it('fails soon, and says that it may have run', async () => {
    const { proxy, pool } = await throughProxy({ health })
    const client = await pool.connect()
    const alone = within(2_000, pool.query('select pg_sleep(0.6)'))
    await database.waitUntilRunning(1)
    await killSilently(proxy)
    const errors = await Promise.all([within(2_000, client.query('select 1')), alone])
    for (const error of errors) {
      expect(error).toMatchObject({ kind: 'timeout', code: 'POOL_CONNECTION_DEAD', mayHaveRun: true })
    }
    client.release()
    expect(await pool.query('select 1 as one')).toMatchObject({ rows: [{ one: 1 }] })
    await eventually(() => expect(pool.stats()).toMatchObject({ lost: 2, leased: 0 }))
  })

  it('is not mistaken for one that is slow', async () => {
    const { pool } = await throughProxy({ health: { deadAfter: 50 } })
    expect(await pool.query('select pg_sleep(0.8), 1 as one')).toMatchObject({ rows: [{ one: 1 }] })
    expect(pool.stats()).toMatchObject({ lost: 0 })
  })

  it('is not mistaken for one whose server hangs', async () => {
    const server = await startPostgres({ own: true })
    onTestFinished(() => server[Symbol.asyncDispose]())
    const pool = usePool({ connectionString: server.url, health: { deadAfter: 50, timeout: 50 } })
    const client = await pool.connect()
    server.hang()
    const query = client.query('select 1 as one')
    expect(await within(500, query)).toBe('pending')
    server.resume()
    expect(await query).toMatchObject({ rows: [{ one: 1 }] })
    client.release()
  })
})

describe('health: false', () => {
  it('asks nobody anything', async () => {
    const { proxy, pool } = await throughProxy({ health: false })
    expect(pool.options.keepAlive).toBeUndefined()
    await pool.query('select 1')
    await killSilently(proxy)
    await new Promise(resolve => setTimeout(resolve, 600))
    expect(await within(300, pool.query('select 1'))).toBe('pending')
  })
})

it('TCP keepalive is on, unless it is said otherwise', () => {
  expect(usePool({}).options).toMatchObject({ keepAlive: true, keepAliveInitialDelayMillis: 10_000 })
  expect(usePool({ keepAlive: false }).options.keepAlive).toBe(false)
})
