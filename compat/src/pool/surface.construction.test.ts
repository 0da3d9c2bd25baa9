/** What pool a constructor makes, asked of both pools: class, options, and what nobody may see. */

import { EventEmitter } from 'node:events'
import { inspect } from 'node:util'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { contenders, type Options, OurPool, type PoolClass, poolsOf } from '../kit/contenders.js'
import { useDatabase } from '../kit/database.js'

const database = useDatabase()

describe.each(contenders)('%s', (_, Pool) => {
  const make = poolsOf(Pool, database)

  describe('the class', () => {
    it('is an event emitter, a pg.Pool and a pool of the class below that', () => {
      const pool = new Pool()
      expect(pool).toBeInstanceOf(EventEmitter)
      expect(pool).toBeInstanceOf(pg.Pool)
      expect(pool).toBeInstanceOf(Object.getPrototypeOf(pg.Pool))
    })

    it('has "Pool" in its name, by which libraries know a pool', () => {
      expect(new Pool().constructor.name).toContain('Pool')
    })

    it('is called with new only', () => {
      expect(() => (Pool as unknown as () => void)()).toThrow(TypeError)
    })

    it('has what an event emitter class has', () => {
      const { once, on } = Pool as unknown as typeof EventEmitter
      expect({ once, on }).toEqual({ once: EventEmitter.once, on: EventEmitter.on })
    })

    it('is subclassed, and its methods are called through super', async () => {
      const calls: string[] = []
      class Watched extends Pool {
        override query(...args: unknown[]): never {
          calls.push('query')
          return super.query(...(args as [string])) as never
        }
        override connect(...args: unknown[]): never {
          calls.push('connect')
          return super.connect(...(args as [])) as never
        }
        override end(...args: unknown[]): never {
          calls.push('end')
          return super.end(...(args as [])) as never
        }
      }
      const pool = new Watched({ connectionString: database.url }) as pg.Pool
      const client = await pool.connect()
      client.release()
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      await pool.end()
      expect(new Set(calls)).toEqual(new Set(['connect', 'query', 'end']))
    })

    it("asks a subclass's own connect for the client of a query", async () => {
      const prepared: unknown[] = []
      class Tenant extends Pool {
        // As row-level security is set up: whoever gets a client, gets it with the tenant set.
        override connect(...args: unknown[]): never {
          prepared.push(args.length)
          return super.connect(...(args as [])) as never
        }
      }
      const pool = new Tenant({ connectionString: database.url }) as pg.Pool
      await pool.query('select 1')
      await pool.end()
      expect(prepared).toHaveLength(1)
    })

    it('has its methods on the prototype, where instrumentation replaces them', async () => {
      class Instrumented extends Pool {}
      const pool = new Instrumented({ connectionString: database.url })
      for (const method of ['connect', 'query', 'end']) {
        expect(Object.hasOwn(pool, method)).toBe(false)
        expect(Pool.prototype).toHaveProperty(method)
      }
      const original = Instrumented.prototype.connect
      let seen = 0
      Instrumented.prototype.connect = function (this: pg.Pool, ...args: unknown[]) {
        seen++
        return Reflect.apply(original, this, args)
      } as typeof original
      ;(await pool.connect()).release()
      expect(seen).toBe(1)
      await pool.end()
    })

    it('works behind a proxy that knows nothing of it', async () => {
      const pool = make()
      const proxy = new Proxy(pool, {})
      expect((await proxy.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect(proxy.totalCount).toBe(1)
      ;(await proxy.connect()).release()
    })

    it('takes its methods called on it from elsewhere', async () => {
      const pool = make()
      const query = pool.query.bind(pool)
      const connect = pool.connect.bind(pool)
      expect((await query('select 1 as one')).rows).toEqual([{ one: 1 }])
      ;(await connect()).release()
    })
  })

  describe('its fields', () => {
    it('are those of pg, and may be set', () => {
      class OwnClient extends pg.Client {}
      const pool = new Pool() as unknown as Record<string, unknown>
      expect(pool).toMatchObject({ Client: pg.Client, Promise, ending: false, ended: false })
      expect(pool.log).toBeTypeOf('function')
      pool.Client = OwnClient
      expect(pool.Client).toBe(OwnClient)
    })

    it('count nothing at first', () => {
      expect(new Pool()).toMatchObject({ totalCount: 0, idleCount: 0, waitingCount: 0, expiredCount: 0 })
    })
  })

  describe('its options', () => {
    it('have the defaults of pg', () => {
      for (const none of [undefined, {}]) {
        expect(new Pool(none).options).toMatchObject({
          max: 10,
          min: 0,
          maxUses: Number.POSITIVE_INFINITY,
          maxLifetimeSeconds: 0,
          idleTimeoutMillis: 10_000,
          allowExitOnIdle: false,
        })
      }
    })

    it('are a copy, and those given stay as they are', () => {
      const given = Object.freeze({ max: 3, connectionString: database.url })
      const { options } = new Pool(given)
      expect(options).not.toBe(given)
      expect(options).toMatchObject(given)
      expect(given).toEqual({ max: 3, connectionString: database.url })
    })

    it('are handed to each client whole, unknown ones and all', async () => {
      const handed: unknown[] = []
      class OwnClient extends pg.Client {
        constructor(config?: pg.ClientConfig) {
          super(config)
          handed.push(config)
        }
      }
      const pool = make({ Client: OwnClient, statement_timeout: 1_234, unheardOf: 42 })
      const { rows } = await pool.query('show statement_timeout')
      expect(rows).toEqual([{ statement_timeout: '1234ms' }])
      expect(handed).toHaveLength(1)
      expect(handed[0]).toBe(pool.options)
      expect(handed[0]).toMatchObject({ unheardOf: 42 })
    })

    it.each<[string, Options | null | undefined]>([
      ['none', undefined],
      ['null', null],
      ['an empty object', {}],
      ['what is falsy', { max: 0, min: 0, idleTimeoutMillis: 0, maxUses: 0, maxLifetimeSeconds: 0 }],
      [
        'null for each',
        { max: null, min: null, idleTimeoutMillis: null, maxUses: null, connectionTimeoutMillis: null },
      ],
      ['undefined for each', { max: undefined, min: undefined, idleTimeoutMillis: undefined, Client: undefined }],
      [
        'numbers out of environment variables',
        { max: '20', min: '1', idleTimeoutMillis: '50', connectionTimeoutMillis: '900' },
      ],
      ['a min above max', { min: 9, max: 4 }],
      ['no limit', { max: Number.POSITIVE_INFINITY, maxUses: Number.POSITIVE_INFINITY }],
      ['half a connection', { max: 2.5 }],
      ['poolSize', { poolSize: 3 }],
      ['options of others', { statement_timeout: 1_000, unheardOf: true, max: 2 }],
    ] as [string, Options | null | undefined][])('take %s', async (_, given) => {
      const pool = given == null ? new Pool(given as undefined) : make(given)
      if (given == null) return expect(pool.options.max).toBe(10)
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    })

    it('hide the password and the key, and keep them', () => {
      const ssl = { key: 'secret key', ca: 'authority' }
      const pool = new Pool({ password: 'secret word', ssl, user: 'me' })
      expect(pool.options).toMatchObject({ password: 'secret word', ssl: { key: 'secret key', ca: 'authority' } })
      expect(Object.keys(pool.options)).not.toContain('password')
      expect(Object.keys(pool.options.ssl as object)).toEqual(['ca'])
      for (const shown of [JSON.stringify(pool.options), inspect(pool, { depth: 10 })]) {
        expect(shown).not.toContain('secret')
      }
      // As those do who replace a password that has expired.
      pool.options.password = 'another'
      expect(pool.options.password).toBe('another')
      expect({ ...pool.options }).not.toHaveProperty('password')
    })

    it('take a password that is a function', () => {
      const password = () => 'secret word'
      expect(new Pool({ password }).options.password).toBe(password)
    })
  })
})

describe.each<[string, PoolClass]>([
  ["pg-pool's class, on which pg.Pool stands", Object.getPrototypeOf(pg.Pool)],
  ["@breakwater/pool's Pool", OurPool],
])('%s', (_, Pool) => {
  type WithClient = new (options?: object, Client?: unknown) => pg.Pool & { Client: unknown }
  const PoolWithClient = Pool as unknown as WithClient

  it('takes (options, Client), of which the option wins', () => {
    class Second extends pg.Client {}
    class Option extends pg.Client {}
    expect(new PoolWithClient({}, Second).Client).toBe(Second)
    expect(new PoolWithClient({ Client: Option }, Second).Client).toBe(Option)
    expect(new PoolWithClient(undefined, Second).Client).toBe(Second)
  })
})

describe('where ours is another on purpose', () => {
  it('is called Pool, where pg calls its own BoundPool', () => {
    expect(pg.Pool.name).toBe('BoundPool')
    expect(OurPool.name).toBe('Pool')
    expect(new OurPool().constructor.name).toBe('Pool')
  })

  it('waits 5 s for a connection unless told otherwise, where pg waits for ever', () => {
    expect(new pg.Pool().options.connectionTimeoutMillis).toBeUndefined()
    expect(new OurPool().options.connectionTimeoutMillis).toBe(5_000)
    for (const given of [0, 250]) {
      expect(new OurPool({ connectionTimeoutMillis: given }).options.connectionTimeoutMillis).toBe(given)
    }
  })

  it('refuses options that cannot work, all at once, where pg fails later or never works', () => {
    const wrong = { max: -1, idleTimeoutMillis: -5, connectionTimeoutMillis: 'soon', verify: 'yes' }
    expect(() => new pg.Pool(wrong as unknown as pg.PoolConfig)).not.toThrow()
    for (const name of Object.keys(wrong)) {
      expect(() => new OurPool(wrong as unknown as pg.PoolConfig)).toThrow(name)
    }
  })
})
