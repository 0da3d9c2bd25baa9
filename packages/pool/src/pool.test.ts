/** The drop-in on a real server: what users of `pg.Pool` rely on, form by form. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { eventually } from '@breakwater/testkit'
import pg from 'pg'
import { describe, expect, it, vi } from 'vitest'
import { next, useDatabase } from '../test/pool-kit.js'
import { Pool } from './pool.js'

const database = useDatabase()

describe('a pool', () => {
  it('is a pg.Pool named Pool, which takes (options, Client)', () => {
    class OwnClient extends pg.Client {}
    const pool = new Pool({ max: 3 }, OwnClient)
    expect(pool).toBeInstanceOf(pg.Pool)
    expect(pool.constructor.name).toBe('Pool')
    expect(pool.Client).toBe(OwnClient)
    const typed: pg.Pool = pool
    expect(typed.options).toMatchObject({ max: 3, min: 0, idleTimeoutMillis: 10_000, connectionTimeoutMillis: 5_000 })
  })

  it('shows no secret, and hands each option on to its clients', async () => {
    const ssl = { key: 'secret', rejectUnauthorized: false }
    const pool = new Pool({ password: 'secret', ssl, application_name: 'mine' })
    expect(JSON.stringify(pool.options)).not.toContain('secret')
    expect(pool.options).toMatchObject({ password: 'secret', application_name: 'mine' })
    const client = await database.pool({ application_name: 'mine' }).connect()
    expect((await client.query('show application_name')).rows).toEqual([{ application_name: 'mine' }])
    client.release()
  })

  it('works behind a proxy', async () => {
    const pool = database.pool()
    const proxy = new Proxy(pool, {})
    expect((await proxy.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    ;(await proxy.connect()).release()
    expect(proxy.totalCount).toBe(1)
    await proxy.end()
    await expect(proxy.end()).rejects.toThrow('more than once')
  })

  it('makes promises of the kind that it was given', async () => {
    class OwnPromise<T> extends Promise<T> {}
    const pool = database.pool()
    pool.Promise = OwnPromise as PromiseConstructor
    const connected = pool.connect()
    const queried = pool.query('select 1')
    for (const promise of [connected, queried]) expect(promise).toBeInstanceOf(OwnPromise)
    ;(await connected).release()
    await queried
    expect(pool.end()).toBeInstanceOf(OwnPromise)
  })
})

describe('query', () => {
  it('takes text, values and configs, by promise', async () => {
    const pool = database.pool()
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect((await pool.query('select $1::int as n', [2])).rows).toEqual([{ n: 2 }])
    expect((await pool.query({ text: 'select $1::int as n', values: [3] })).rows).toEqual([{ n: 3 }])
    expect((await pool.query({ text: 'select $1::int', rowMode: 'array' }, [4])).rows).toEqual([[4]])
    expect((await pool.query({ name: 'named', text: 'select $1::int as n' }, [5])).rows).toEqual([{ n: 5 }])
  })

  it('takes a callback in every place, returns nothing then, and calls it in the context of the caller', async () => {
    const pool = database.pool()
    const context = new AsyncLocalStorage<string>()
    const results = await new Promise<unknown[]>(resolve => {
      const seen: unknown[] = []
      const callback = (error: unknown, result: pg.QueryResult): void => {
        seen.push([error, result.rows[0].n, context.getStore()])
        if (seen.length === 3) resolve(seen)
      }
      const returned = [
        context.run('a', () => pool.query('select 1 as n', callback)),
        context.run('b', () => pool.query('select $1::int as n', [2], callback)),
        context.run('c', () => pool.query({ text: 'select 3 as n' }, callback)),
      ]
      expect(returned).toEqual([undefined, undefined, undefined])
    })
    expect(results).toEqual(
      expect.arrayContaining([
        [undefined, 1, 'a'],
        [undefined, 2, 'b'],
        [undefined, 3, 'c'],
      ]),
    )
    const failure = await new Promise(resolve => pool.query('select bad', resolve))
    expect(failure).toMatchObject({ code: '42703' })
  })

  it('takes a submittable, whether it has a callback of its own or not', async () => {
    const pool = database.pool({ max: 1 })
    const plain = (await pool.query(new pg.Query('select 1 as n'))) as unknown as pg.QueryResult
    expect(plain.rows).toEqual([{ n: 1 }])
    const own = vi.fn()
    await pool.query(new pg.Query('select 2 as n', own))
    expect(own).toHaveBeenCalledExactlyOnceWith(null, expect.objectContaining({ rows: [{ n: 2 }] }))
    await expect(pool.query(new pg.Query('select bad'))).rejects.toMatchObject({ code: '42703' })
    // The server may say later that it is ready again.
    await eventually(() => expect(pool.stats()).toMatchObject({ created: 1, idle: 1 }))
  })

  it('gives the connection back when a submittable without callbacks is over', async () => {
    const pool = database.pool({ max: 1 })
    const submittable = {
      submit: (connection: { query(text: string): void }) => connection.query('select 1'),
      handleRowDescription() {},
      handleDataRow() {},
      handleCommandComplete() {},
      handleReadyForQuery() {},
      handleError() {},
    }
    await pool.query(submittable as unknown as pg.Submittable)
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(pool.stats().created).toBe(1)
  })

  it('rejects a query that is none, by promise or by callback, and costs no connection', async () => {
    const pool = database.pool({ max: 1 })
    await expect(pool.query(null as unknown as string)).rejects.toThrow('null or undefined query')
    const refused = await new Promise(resolve => pool.query(resolve as unknown as string))
    expect(refused).toMatchObject({
      message: 'Passing a function as the first parameter to pool.query is not supported',
      kind: 'usage',
    })
    await expect(pool.query('select $1::int', [{ toPostgres: () => bad() }])).rejects.toThrow('not serializable')
    await pool.query('select 1')
    expect(pool.stats()).toMatchObject({ created: 1, leased: 0 })
  })

  it('rejects with the stack of its caller and the error of the driver', async () => {
    async function callerOfQuery(): Promise<never> {
      await database.pool().query('select bad')
      throw new Error('not refused')
    }
    const error: Error = await callerOfQuery().catch(error => error)
    expect(error).toBeInstanceOf(pg.DatabaseError)
    expect(error.stack).toContain('callerOfQuery')
  })

  it('keeps the connection of a query that the server refused: 3,000 of them open no other', async () => {
    const pool = database.pool({ max: 3 })
    const failures: unknown[] = []
    const caller = async (): Promise<void> => {
      for (let i = 0; i < 300; i++) await pool.query('select bad').catch(error => failures.push(error.code))
    }
    await Promise.all(Array.from({ length: 10 }, caller))
    expect(failures).toHaveLength(3_000)
    expect(new Set(failures)).toEqual(new Set(['42703']))
    await eventually(() => expect(pool.stats()).toMatchObject({ created: 3, idle: 3 }))
  })

  it("closes it with onQueryError: 'destroy', as pg does", async () => {
    const pool = database.pool({ onQueryError: 'destroy' })
    const released = next(pool, 'release')
    await expect(pool.query('select bad')).rejects.toThrow()
    expect(await released).toEqual([expect.objectContaining({ code: '42703' }), expect.anything()])
    expect(pool).toMatchObject({ totalCount: 0, idleCount: 0 })
  })

  it('closes the connection of a query that the server refused for what it has become', async () => {
    const pool = database.pool()
    const readOnly = 'begin read only; create table never (id int)'
    await expect(pool.query(readOnly)).rejects.toMatchObject({ code: '25006' })
    expect(pool.totalCount).toBe(0)
  })

  it('is never sent when its signal is aborted before that', async () => {
    const pool = database.pool({ max: 1 })
    const controller = new AbortController()
    pool.once('acquire', () => controller.abort(new Error('no more')))
    await expect(pool.query({ text: 'create table never (id int)', signal: controller.signal })).rejects.toThrow(
      'no more',
    )
    expect((await pool.query("select to_regclass('never') as found")).rows).toEqual([{ found: null }])
  })

  it('ends its wait for a connection, or for the answer, when its signal is aborted', async () => {
    const pool = database.pool({ max: 1 })
    const client = await pool.connect()
    const waiting = new AbortController()
    const waited = pool.query({ text: 'select 1', signal: waiting.signal })
    waiting.abort(new Error('no more'))
    await expect(waited).rejects.toThrow('no more')
    client.release()

    const running = new AbortController()
    const ran = pool.query({ text: 'select pg_sleep(0.2)', signal: running.signal })
    setImmediate(() => running.abort(new Error('no more')))
    await expect(ran).rejects.toThrow('no more')
    await pool.query('select 1')
    expect(pool.stats()).toMatchObject({ created: 1 })
  })
})

describe('connect', () => {
  it('resolves with a client that keeps its identity and gets a new release at each checkout', async () => {
    const pool = database.pool({ max: 1 })
    const client = await pool.connect()
    const { release } = client
    expect(client.constructor.name).toBe('Client')
    client.release()
    const again = await pool.connect()
    expect(again).toBe(client)
    expect(again.release).not.toBe(release)
    expect(again).toMatchObject({ _poolUseCount: 1 })
    again.release()
  })

  it('takes a callback, returns nothing then, and never calls it in the same tick', async () => {
    const pool = database.pool()
    ;(await pool.connect()).release()
    let called = false
    const released = new Promise<void>(resolve => {
      const returned: unknown = pool.connect((error, client, done) => {
        called = true
        expect(error).toBeUndefined()
        expect(done).toBe(client?.release)
        done()
        resolve()
      })
      expect(returned).toBeUndefined()
    })
    expect(called).toBe(false)
    await released
    expect(called).toBe(true)
  })

  it('hands a failed connect to the callback without a client, but with a release that does nothing', async () => {
    const pool = database.pool({ database: 'none', connectionString: undefined, host: 'localhost', port: 1 })
    const [error, client, release] = await new Promise<unknown[]>(resolve => pool.connect((...args) => resolve(args)))
    expect(error).toMatchObject({ code: 'ECONNREFUSED' })
    expect(client).toBeUndefined()
    expect(release).toBeTypeOf('function')
    expect(pool).toMatchObject({ totalCount: 0, waitingCount: 0 })
  })

  it('throws at each release but the first, in the words of pg, and disturbs nobody else', async () => {
    const pool = database.pool({ max: 1 })
    const client = await pool.connect()
    const { release } = client
    release()
    for (let i = 0; i < 2; i++) {
      expect(() => release()).toThrow('Release called on client which has already been released to the pool.')
    }
    const other = await pool.connect()
    expect(() => release()).toThrow(expect.objectContaining({ kind: 'usage' }))
    expect(pool.idleCount).toBe(0)
    other.release()
  })

  it('closes a client that is released with an error or true', async () => {
    const pool = database.pool()
    for (const reason of [true, new Error('mine')]) {
      const client = await pool.connect()
      client.release(reason)
      expect(pool.totalCount).toBe(0)
    }
  })

  it('times out in the words of pg, with the state of the pool', async () => {
    const pool = database.pool({ max: 1, connectionTimeoutMillis: 500 })
    const client = await pool.connect()
    const error = await pool.connect().catch(error => error)
    expect(error).toMatchObject({
      message: 'timeout exceeded when trying to connect',
      kind: 'timeout',
      code: 'POOL_ACQUIRE_TIMEOUT',
      stats: { leased: 1, max: 1 },
    })
    client.release()
  })

  it('counts clients and callers as pg does', async () => {
    const pool = database.pool({ max: 1 })
    const first = pool.connect()
    expect(pool).toMatchObject({ totalCount: 1, idleCount: 0, waitingCount: 0 })
    const second = pool.connect()
    expect(pool).toMatchObject({ totalCount: 1, idleCount: 0, waitingCount: 1 })
    ;(await first).release()
    ;(await second).release()
    expect(pool).toMatchObject({ totalCount: 1, idleCount: 1, waitingCount: 0, expiredCount: 0 })
  })

  it('refuses callers beyond maxPending', async () => {
    const pool = database.pool({ max: 1, maxPending: 1 })
    const client = await pool.connect()
    const waiting = pool.connect()
    await expect(pool.connect()).rejects.toMatchObject({ kind: 'rejected', code: 'POOL_SATURATED' })
    client.release()
    ;(await waiting).release()
  })
})

describe('events', () => {
  it('come in the order of pg', async () => {
    const events: string[] = []
    const pool = database.pool({
      onConnect: () => void events.push('onConnect'),
      verify: (_, done) => {
        events.push('verify')
        done()
      },
    })
    for (const name of ['connect', 'acquire', 'release', 'remove'] as const) {
      pool.on(name as 'connect', () => events.push(name))
    }
    const client = await pool.connect()
    expect(events).toEqual(['onConnect', 'connect', 'acquire', 'verify'])
    client.release()
    ;(await pool.connect()).release(true)
    await next(pool, 'remove')
    expect(events.slice(4)).toEqual(['release', 'acquire', 'release', 'remove'])
  })

  it('release and remove name the client, release its error', async () => {
    const pool = database.pool()
    const client = await pool.connect()
    const [released, removed] = [next(pool, 'release'), next(pool, 'remove')]
    const mine = new Error('mine')
    client.release(mine)
    expect(await released).toEqual([mine, client])
    expect(await removed).toEqual([client])
  })

  it('whose listener throws reject the caller and cost no place', async () => {
    const pool = database.pool({ max: 1 })
    for (const name of ['connect', 'acquire'] as const) {
      pool.once(name, () => {
        throw new Error(name)
      })
    }
    await expect(pool.connect()).rejects.toThrow('connect')
    await expect(pool.connect()).rejects.toThrow('acquire')
    ;(await pool.connect()).release()
    expect(pool.stats()).toMatchObject({ idle: 1, leased: 0 })
  })

  it('are reported to observers and to the log', async () => {
    const log = vi.fn()
    const pool = database.pool({ name: 'orders', log })
    const seen: unknown[] = []
    const unsubscribe = pool.observe(event => seen.push(event))
    ;(await pool.connect()).release(true)
    unsubscribe()
    await pool.query('select 1')
    expect(seen).toEqual([
      { type: 'created', pool: 'orders', elapsedMs: expect.any(Number) },
      { type: 'retired', pool: 'orders', reason: 'unhealthy' },
    ])
    expect(log).toHaveBeenCalledWith('retired', expect.objectContaining({ reason: 'unhealthy' }))
  })
})

function bad(): never {
  throw new Error('not serializable')
}
