/** What a pool knows of its queries: counted wherever they come from, told to a channel, and called back in their context. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { type Channel, type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import { eventually } from '@breakwater/testkit'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../../test/pool-kit.js'
import type { PoolDuration } from '../pool-events.js'
import type { QueryMessage } from './query-log.js'

const database = useDatabase()

describe('the durations of queries', () => {
  it('count what succeeds and what fails, on the pool and on a client that is checked out', async () => {
    const pool = database.pool({ max: 1 })
    expect(pool.stats()).toMatchObject({ query: { count: 0 }, queryFailed: {}, server: {} })
    await pool.query('select pg_sleep(0.02)')
    await expect(pool.query('select bad')).rejects.toMatchObject({ code: '42703' })
    const client = await pool.connect()
    await client.query('select 1')
    await expect(client.query('select 1/0')).rejects.toMatchObject({ code: '22012' })
    await new Promise<void>(resolve => void client.query('select 2', () => resolve()))
    await new Promise<void>(resolve => void client.query('select $1::int', [2], () => resolve()))
    client.release()
    const { query, queryFailed, server } = pool.stats()
    expect(query.count).toBe(4)
    expect(query.maxMs).toBeGreaterThan(18)
    expect(queryFailed).toMatchObject({ 42703: { count: 1 }, 22012: { count: 1 } })
    const { hostname, port, pathname } = new URL(database.url)
    expect(server).toEqual({ address: hostname, port: Number(port), database: pathname.slice(1) })
  })

  it('leave out what the pool asks for its own ends', async () => {
    const pool = database.pool({ max: 1, health: { idleWindow: 0 } })
    const client = await pool.connect()
    await client.query('begin')
    client.release()
    // Rolled back, and asked whether it is there, before it is lent.
    await pool.query('select 1')
    expect(pool.stats()).toMatchObject({ query: { count: 2 }, leftInTransaction: 1 })
  })

  it('name no more kinds of errors than fifty', async () => {
    const pool = database.pool({ max: 1 })
    const raise = (code: number): Promise<unknown> =>
      pool.query(`do $$ begin raise exception using errcode = 'ZZ${String(code).padStart(3, '0')}'; end $$`)
    for (let code = 0; code < 52; code++) await raise(code).catch(() => undefined)
    const { queryFailed } = pool.stats()
    expect(Object.keys(queryFailed)).toHaveLength(51)
    expect(queryFailed).toMatchObject({ ZZ000: { count: 1 }, _OTHER: { count: 2 } })
  })

  it('are told one by one to who observes them, with those of the pool', async () => {
    const pool = database.pool({ max: 1 })
    const seen: PoolDuration[] = []
    const stop = pool.observeDurations(duration => seen.push(duration))
    await pool.query('select 1')
    await pool.query('select bad').catch(() => undefined)
    const types = ['create', 'wait', 'query', 'use', 'wait', 'query', 'use']
    // The error has come before the server is ready for the next query.
    await eventually(() => expect(seen.map(({ type }) => type)).toEqual(types))
    expect(seen).toContainEqual({ type: 'wait', ms: 0 })
    expect(seen).toContainEqual({ type: 'query', ms: expect.any(Number), errorType: '42703' })
    stop()
    await pool.query('select 1')
    expect(seen).toHaveLength(7)
  })
})

describe('the channel breakwater:query', () => {
  const channel: TracingChannel<QueryMessage> = tracingChannel('breakwater:query')
  const context = new AsyncLocalStorage<string>()

  function listen(): string[] {
    const heard: string[] = []
    const subscribers = Object.fromEntries(
      ['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map(event => [
        event,
        ({ text, error, rowCount }: QueryMessage) => {
          const outcome = error ? ` ${(error as { code?: string }).code}` : rowCount === undefined ? '' : ` ${rowCount}`
          heard.push(`${event} ${text}${outcome}`)
        },
      ]),
    ) as never
    channel.subscribe(subscribers)
    onTestFinished(() => void channel.unsubscribe(subscribers))
    return heard
  }

  it('tells of each query once, with its end, and never of a value', async () => {
    const pool = database.pool({ max: 1, name: 'orders' })
    const heard = listen()
    const messages: QueryMessage[] = []
    const note = (message: unknown): void => void messages.push(message as QueryMessage)
    channel.start.subscribe(note)
    onTestFinished(() => void channel.start.unsubscribe(note))
    await pool.query({ name: 'one', text: 'select $1::text', values: ['secret'] })
    await pool.query('select bad').catch(() => undefined)
    expect(heard).toEqual([
      'start select $1::text',
      'end select $1::text',
      'asyncStart select $1::text 1',
      'asyncEnd select $1::text 1',
      'start select bad',
      'end select bad',
      'error select bad 42703',
      'asyncStart select bad 42703',
      'asyncEnd select bad 42703',
    ])
    expect(messages[0]).toMatchObject({ pool: 'orders', statement: 'one', server: pool.stats().server })
    expect(JSON.stringify(messages)).not.toContain('secret')
  })

  it('starts in the context of who asks, and binds a store to what the query does, not to what follows', async () => {
    const pool = database.pool({ max: 1 })
    const seen: unknown[] = []
    const start = channel.start as unknown as Channel<string, QueryMessage>
    start.bindStore(context, ({ text }) => `${context.getStore()}/${text}`)
    onTestFinished(() => void start.unbindStore(context))
    const note = (): void => void seen.push(context.getStore())
    channel.start.subscribe(note)
    onTestFinished(() => void channel.start.unsubscribe(note))
    await context.run('request', async () => {
      await pool.query('select 1')
      note()
      const client = await pool.connect()
      await new Promise<void>(resolve => {
        void client.query('select 2', () => {
          note()
          resolve()
        })
      })
      client.release()
    })
    expect(seen).toEqual(['request/select 1', 'request', 'request/select 2', 'request'])
  })
})

describe('client.query of a client that is checked out', () => {
  const context = new AsyncLocalStorage<string>()

  async function contextsOf(pool: pg.Pool): Promise<unknown[]> {
    const seen: unknown[] = []
    // Opened for somebody else.
    await context.run('first', () => pool.query('select 1'))
    for (const who of ['a', 'b']) {
      await context.run(
        who,
        () =>
          new Promise<void>((resolve, reject) => {
            pool.connect((error, client, done) => {
              if (!client) return reject(error)
              void client.query('select 1', () => {
                seen.push(context.getStore())
                void client.query('select $1::int', [1], () => {
                  seen.push(context.getStore())
                  done()
                  resolve()
                })
              })
            })
          }),
      )
    }
    return seen
  }

  it('calls back in its caller’s context, where pg.Pool calls back in that of who connected', async () => {
    expect(await contextsOf(database.stockPool({ max: 1 }))).not.toEqual(['a', 'a', 'b', 'b'])
    expect(await contextsOf(database.pool({ max: 1 }))).toEqual(['a', 'a', 'b', 'b'])
  })

  it('is pg’s own in all that it takes, and in what it throws and rejects with', async () => {
    const pool = database.pool({ max: 1 })
    const client = await pool.connect()
    try {
      expect(() => client.query(null as never)).toThrow(TypeError)
      expect(() => client.query('select 1', [], 3 as never)).toThrow('callback is not a function')
      const query = new pg.Query('select 1 as n')
      expect(client.query(query)).toBe(query)
      await new Promise(resolve => (query as unknown as NodeJS.EventEmitter).once('end', resolve))
      const { rows } = await client.query({ text: 'select 2 as n', rowMode: 'array' })
      expect(rows).toEqual([[2]])
      expect(Object.keys(client)).not.toContain('query')
      const stack = expect.stringContaining('queries.test.ts')
      await expect(client.query('select bad')).rejects.toMatchObject({ code: '42703', stack })
    } finally {
      client.release()
    }
  })
})

it('a caller whose time is up is told of in his own context, though one timer serves all', async () => {
  const context = new AsyncLocalStorage<string>()
  const pool = database.pool({ max: 1 })
  const seen: unknown[] = []
  pool.observe(({ type }) => type === 'acquire-timed-out' && seen.push(context.getStore()))
  const holder = await pool.connect()
  const wait = (who: string): Promise<unknown> =>
    context.run(who, () => pool.connect({ timeout: 50 }).catch(error => error))
  await Promise.all(['a', 'b', 'c'].map(wait))
  expect(seen.toSorted()).toEqual(['a', 'b', 'c'])
  holder.release()
})
