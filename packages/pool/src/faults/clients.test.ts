/** What applications do wrong with clients, and what becomes of the next caller: with pg.Pool, and here. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { eventually, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { times, useDatabase, usePool, useStockPool, within } from '../../test/pool-kit.js'
import type { PoolEvent } from '../pool-events.js'

const database = useDatabase()

describe('a client released inside a transaction', () => {
  async function statusForTheNext(pool: pg.Pool): Promise<string | null> {
    const client = await pool.connect()
    await client.query('begin')
    client.release()
    const next = await pool.connect()
    onTestFinished(() => next.release(true))
    return next.getTransactionStatus()
  }

  it('is handed on as it is by pg.Pool, and clean here', async () => {
    expect(await statusForTheNext(database.stockPool({ max: 1 }))).toBe('T')
    expect(await statusForTheNext(database.pool({ max: 1 }))).toBe('I')
  })

  it('is reported with its user, where users are noted', async () => {
    const pool = database.pool({ max: 1, leakWarningAfter: '1h' })
    const events: PoolEvent[] = []
    pool.observe(event => events.push(event))
    async function forgetful(): Promise<void> {
      const client = await pool.connect()
      await client.query('begin')
      client.release()
    }
    await forgetful()
    await pool.query('select 1')
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'transaction-left-open', acquiredAt: expect.stringContaining('forgetful') }),
    )
  })
})

it('a client released twice is an error at the second time, also once another caller has it, who keeps it', async () => {
  for (const pool of [database.stockPool({ max: 1 }), database.pool({ max: 1 })]) {
    const first = await pool.connect()
    const { release } = first
    release()
    const second = await pool.connect()
    expect(second).toBe(first)
    expect(() => release()).toThrow('already been released')
    expect((await second.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    second.release()
  }
})

describe('a leaked client', () => {
  it('takes its place in pg.Pool for good, and nobody is told', async () => {
    const stock = database.stockPool({ max: 1 })
    await stock.connect()
    expect(await within(400, stock.query('select 1'))).toBe('pending')
  })

  it('is reported here with its user and, if that is wanted, taken away', async () => {
    const pool = database.pool({ max: 1, leakWarningAfter: 100, reclaimLeaked: true })
    const events: PoolEvent[] = []
    pool.observe(event => events.push(event))
    async function leaky() {
      return await pool.connect()
    }
    const leaked = await leaky()
    expect(await within(2_000, pool.query('select 1 as one'))).toMatchObject({ rows: [{ one: 1 }] })
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'lease-leaked', acquiredAt: expect.stringContaining('leaky') }),
    )
    await expect(leaked.query('select 1')).rejects.toThrow()
    expect(() => leaked.release()).not.toThrow()
  })
})

it('failing queries open a connection each with pg.Pool; here 3,000 of them open no other', async () => {
  async function connectsOf(pool: pg.Pool, failing: number): Promise<number> {
    let connects = 0
    pool.on('connect', () => connects++)
    const caller = async (): Promise<void> => {
      for (let i = 0; i < failing / 10; i++) await pool.query('select bad').catch(() => undefined)
    }
    await times(10, caller)
    return connects
  }
  expect(await connectsOf(database.stockPool({ max: 3 }), 100)).toBe(100)
  expect(await connectsOf(database.pool({ max: 3 }), 3_000)).toBe(3)
})

it('a caller waits for its own slow connect with pg.Pool; here the first client that is free is his', async () => {
  const proxy = await startProxy(testPostgres())
  onTestFinished(() => proxy.close())
  const connectionString = proxy.url(database.url)
  async function waitOf(pool: pg.Pool): Promise<number> {
    const client = await pool.connect()
    proxy.setLatency(400)
    const startedAt = performance.now()
    const waiting = pool.connect()
    setTimeout(() => client.release(), 20)
    ;(await waiting).release()
    const waitedMs = performance.now() - startedAt
    proxy.setLatency(0)
    return waitedMs
  }
  expect(await waitOf(useStockPool({ connectionString, max: 2 }))).toBeGreaterThan(350)
  expect(await waitOf(usePool({ connectionString, max: 2 }))).toBeLessThan(150)
})

describe('what is called back', () => {
  const context = new AsyncLocalStorage<string>()

  /** What each of three callers of a pool with one connection finds, when all that it can be called by has called it. */
  async function contextsOf(pool: pg.Pool): Promise<string[]> {
    const seen: string[] = []
    const note = (who: string): void => void seen.push(`${who} ${context.getStore()}`)
    const one = (who: string): Promise<void> =>
      context.run(who, async () => {
        await new Promise<void>(resolve => {
          void pool.query('select 1', () => {
            note(who)
            resolve()
          })
        })
        await new Promise<void>(resolve => {
          pool.connect((_, client, done) => {
            note(who)
            done()
            resolve(void client)
          })
        })
        await new Promise<void>(resolve => {
          const query = new pg.Query('select 1')
          ;(query as unknown as NodeJS.EventEmitter).on('row', () => note(who)).on('end', resolve)
          void pool.query(query)
        })
      })
    await Promise.all(['a', 'b', 'c'].map(one))
    return seen
  }

  it('runs in the context of the caller who connected first with pg.Pool, and in its own caller’s here', async () => {
    const stray = (seen: string[]): string[] => seen.filter(each => each[0] !== each[2])
    expect(stray(await contextsOf(database.stockPool({ max: 1 })))).not.toEqual([])
    const seen = await contextsOf(database.pool({ max: 1 }))
    expect(seen).toHaveLength(9)
    expect(stray(seen)).toEqual([])
  })
})

describe('a pool whose connect is another', () => {
  it('by the application runs its queries through that, as pg.Pool does', async () => {
    let connects = 0
    const pool = database.pool({ max: 1 })
    const { connect } = pool
    pool.connect = ((...args: Parameters<typeof connect>) => {
      connects++
      return connect.apply(pool, args)
    }) as typeof connect
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await expect(pool.query('select bad')).rejects.toMatchObject({ code: '42703' })
    ;(await pool.connect()).release()
    expect(connects).toBe(3)
    await eventually(() => expect(pool.stats()).toMatchObject({ created: 1, idle: 1 }))
  })

  it('by one that wraps its clients still runs queries, and gives the clients back', async () => {
    const pool = database.pool({ max: 1 })
    const { connect } = pool
    pool.connect = ((callback: (...outcome: unknown[]) => void) =>
      connect.call(pool, (error, client) => {
        const wrapped = client && new Proxy(client, { get: (of, key) => bound(of, Reflect.get(of, key)) })
        callback(error, wrapped, wrapped?.release)
      })) as typeof connect
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await expect(pool.query('select bad')).rejects.toMatchObject({ code: '42703' })
    // The error has come before the server is ready for the next query.
    await eventually(() => expect(pool.stats()).toMatchObject({ created: 1, idle: 1 }))
  })

  it('by a tracer, on the prototype of pg.Pool, is seen by it', async () => {
    const stock = pg.Pool.prototype.connect as (this: pg.Pool, callback?: unknown) => unknown
    const spans: string[] = []
    function traced(this: pg.Pool, callback?: (...outcome: unknown[]) => void): unknown {
      spans.push('begun')
      if (!callback) return (stock.call(this) as Promise<unknown>).finally(() => spans.push('ended'))
      return stock.call(this, (...outcome: unknown[]) => {
        spans.push('ended')
        callback(...outcome)
      })
    }
    pg.Pool.prototype.connect = traced as never
    onTestFinished(() => {
      pg.Pool.prototype.connect = stock as never
    })
    const pool = database.pool({ max: 1 })
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    const client = await pool.connect()
    expect(spans).toEqual(['begun', 'ended', 'begun', 'ended'])
    const waiting = pool.connect()
    client.release()
    ;(await waiting).release()
    await eventually(() => expect(spans).toHaveLength(6))
    await eventually(() => expect(pool.stats()).toMatchObject({ created: 1, idle: 1, leased: 0 }))
  })
})

function bound(of: object, value: unknown): unknown {
  return typeof value === 'function' ? value.bind(of) : value
}
