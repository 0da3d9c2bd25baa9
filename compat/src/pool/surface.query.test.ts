/** `pool.query` in all its forms, asked of both pools. */

import pg from 'pg'
import Cursor from 'pg-cursor'
import { describe, expect, it, vi } from 'vitest'
import { called, contenders, next, OurPool, type PoolClass, poolsOf } from '../kit/contenders.js'
import { useDatabase } from '../kit/database.js'

const database = useDatabase()

describe.each(contenders)('%s', (_, Pool) => {
  const make = poolsOf(Pool, database)

  describe('by promise', () => {
    it('takes text and configs, with values in either place', async () => {
      const pool = make()
      const text = 'select $1::int as n'
      expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
      expect((await pool.query(text, [2])).rows).toEqual([{ n: 2 }])
      expect((await pool.query({ text, values: [3] })).rows).toEqual([{ n: 3 }])
      expect((await pool.query({ text }, [4])).rows).toEqual([{ n: 4 }])
      expect((await pool.query({ text, name: 'named' }, [5])).rows).toEqual([{ n: 5 }])
      expect((await pool.query({ text, name: 'named' }, [6])).rows).toEqual([{ n: 6 }])
      expect((await pool.query({ text, rowMode: 'array' }, [7])).rows).toEqual([[7]])
    })

    it('is a promise of the platform', async () => {
      const promise = make().query('select 1')
      expect(promise.constructor).toBe(Promise)
      await promise
    })

    it("resolves with the driver's own result", async () => {
      const result = await make().query(`select 'x' as letter union all select 'y'`)
      expect(result).toBeInstanceOf(pg.Result)
      expect(result).toMatchObject({
        command: 'SELECT',
        rowCount: 2,
        fields: [expect.objectContaining({ name: 'letter' })],
      })
      expect(result.rows).toEqual([{ letter: 'x' }, { letter: 'y' }])
    })

    it('resolves with one result a statement', async () => {
      const results = (await make().query('select 1 as n; select 2 as n')) as unknown as pg.QueryResult[]
      expect(results.map(({ rows }) => rows)).toEqual([[{ n: 1 }], [{ n: 2 }]])
    })

    it('takes types for one query', async () => {
      const types = { getTypeParser: () => (value: string) => `<${value}>` } as unknown as pg.CustomTypesConfig
      expect((await make().query({ text: 'select 1 as n', types })).rows).toEqual([{ n: '<1>' }])
    })

    it("rejects with the driver's own error, and the stack of its caller", async () => {
      async function callerOfQuery(): Promise<void> {
        await make().query('select bad')
      }
      const error: Error = await callerOfQuery().then(
        () => new Error('not refused'),
        error => error,
      )
      expect(error).toBeInstanceOf(pg.DatabaseError)
      expect(error).toMatchObject({ code: '42703', severity: 'ERROR' })
      expect(error.stack).toContain('callerOfQuery')
    })

    it('rejects with the error of a connect that failed', async () => {
      const pool = make({ connectionString: undefined, host: '127.0.0.1', port: 1 })
      await expect(pool.query('select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect' })
      expect(pool).toMatchObject({ totalCount: 0, idleCount: 0, waitingCount: 0 })
    })

    it('rejects what is no query, and what cannot be sent, and goes on', async () => {
      const pool = make({ max: 1 })
      await expect(pool.query(null as unknown as string)).rejects.toThrow('Client was passed a null or undefined query')
      await expect(pool.query('select $1::int', [{ toPostgres: () => raise() }])).rejects.toThrow('not serializable')
      await expect(pool.query('select $1', 7 as unknown as unknown[])).rejects.toThrow('Query values must be an array')
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    })
  })

  describe('by callback', () => {
    it('takes it in every place, and returns nothing then', async () => {
      const pool = make()
      const returned: unknown[] = []
      const note = (value: unknown): void => void returned.push(value)
      const text = 'select $1::int as n'
      const outcomes = await Promise.all([
        called(callback => note(pool.query('select 1 as n', callback))),
        called(callback => note(pool.query(text, [2], callback))),
        called(callback => note(pool.query({ text, values: [3] }, callback))),
        called(callback => note((pool as unknown as AnyForm).query({ text }, [4], callback))),
      ])
      expect(returned).toEqual([undefined, undefined, undefined, undefined])
      expect(outcomes.map(([error]) => error)).toEqual([undefined, undefined, undefined, undefined])
      expect(outcomes.map(([, result]) => (result as pg.QueryResult).rows)).toEqual([
        [{ n: 1 }],
        [{ n: 2 }],
        [{ n: 3 }],
        [{ n: 4 }],
      ])
    })

    it('hands over an error alone', async () => {
      const pool = make()
      expect(await called(callback => pool.query('select bad', callback))).toEqual([
        expect.objectContaining({ code: '42703' }),
      ])
      const nowhere = make({ connectionString: undefined, host: '127.0.0.1', port: 1 })
      expect(await called(callback => nowhere.query('select 1', callback))).toEqual([
        expect.objectContaining({ code: 'ECONNREFUSED' }),
      ])
    })

    it('never calls it within the call itself', async () => {
      const pool = make()
      await pool.query('select 1')
      let hasReturned = false
      const early = new Promise(resolve => {
        void pool.query('select 1', () => resolve(!hasReturned))
        hasReturned = true
      })
      expect(await early).toBe(false)
    })

    it('has given the client back by then', async () => {
      const pool = make({ max: 1 })
      await called(callback => pool.query('select 1', callback))
      expect(pool).toMatchObject({ totalCount: 1, idleCount: 1, waitingCount: 0 })
    })

    it('hands a function that is passed as the query its own error', async () => {
      let hasReturned = false
      const [error, early] = await new Promise<unknown[]>(resolve => {
        const returned = (make() as unknown as AnyForm).query((error: unknown) => resolve([error, !hasReturned]))
        hasReturned = true
        expect(returned).toBeUndefined()
      })
      expect(error).toMatchObject({
        message: 'Passing a function as the first parameter to pool.query is not supported',
      })
      expect(early).toBe(false)
    })
  })

  describe('a submittable', () => {
    it('without a callback of its own resolves with its result, or rejects', async () => {
      const pool = make({ max: 1 })
      const result = (await pool.query(new pg.Query('select 1 as n'))) as unknown as pg.QueryResult
      expect(result.rows).toEqual([{ n: 1 }])
      await expect(pool.query(new pg.Query('select bad'))).rejects.toMatchObject({ code: '42703' })
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    })

    it('takes the callback of the call', async () => {
      const pool = make({ max: 1 })
      const submittable = new pg.Query('select 1 as n')
      const [error, result] = await called(callback => (pool as unknown as AnyForm).query(submittable, [], callback))
      expect(error).toBeFalsy()
      expect(result).toMatchObject({ rows: [{ n: 1 }] })
    })

    it('with a callback of its own has it called, once', async () => {
      const pool = make({ max: 1 })
      const own = vi.fn()
      const over = new Promise<void>(resolve => own.mockImplementation(() => resolve()))
      void pool.query(new pg.Query('select 2 as n', own))
      await over
      expect(own).toHaveBeenCalledExactlyOnceWith(null, expect.objectContaining({ rows: [{ n: 2 }] }))
    })

    it('runs on a client, which returns it', async () => {
      const client = await make().connect()
      const query = new pg.Query('select 3 as n')
      const rows: unknown[] = []
      query.on('row', row => rows.push(row))
      const ended = next(query, 'end')
      expect(client.query(query)).toBe(query)
      await ended
      expect(rows).toEqual([{ n: 3 }])
      const cursor = client.query(new Cursor('select 4 as n'))
      expect(cursor).toBeInstanceOf(Cursor)
      expect(await cursor.read(9)).toEqual([{ n: 4 }])
      await cursor.close()
      client.release()
    })
  })

  it('serves many at once in the order of their calls', async () => {
    const pool = make({ max: 1 })
    const order: number[] = []
    await Promise.all(
      Array.from({ length: 30 }, async (_, n) => {
        await pool.query('select $1::int', [n])
        order.push(n)
      }),
    )
    expect(order).toEqual(Array.from({ length: 30 }, (_, n) => n))
  })

  it('rejects when its backend is killed meanwhile, and the next one goes well', async () => {
    const pool = make({ max: 1 })
    pool.on('error', () => undefined)
    const connected = next(pool, 'acquire')
    const query = pool.query('select pg_sleep(5)')
    const failed = expect(query).rejects.toMatchObject({ code: '57P01' })
    await connected
    await database.killBackends()
    await failed
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

describe('where ours is another on purpose', () => {
  /** Fails 20 queries, and tells how many connections that took and how many are left. */
  async function failures(Pool: PoolClass, options?: object): Promise<[opened: number, left: number]> {
    const pool = poolsOf(Pool, database)({ max: 1, ...options })
    let opened = 0
    pool.on('connect', () => opened++)
    for (let i = 0; i < 20; i++) await pool.query('select bad').catch(() => undefined)
    return [opened, pool.totalCount]
  }

  it('keeps a connection whose query the server refused, where pg opens a new one', async () => {
    expect(await failures(pg.Pool)).toEqual([20, 0])
    expect(await failures(OurPool)).toEqual([1, 1])
  })

  it("does as pg with onQueryError: 'destroy'", async () => {
    expect(await failures(OurPool, { onQueryError: 'destroy' })).toEqual(await failures(pg.Pool))
  })

  it('gives the connection of a submittable with a callback of its own back, where pg never does', async () => {
    const counts = async (Pool: PoolClass): Promise<number> => {
      const pool = poolsOf(Pool, database)({ max: 1 })
      await called(callback => void pool.query(new pg.Query('select 1', callback)))
      // What would be given back, would be by now.
      await new Promise(setImmediate)
      return pool.idleCount
    }
    expect(await counts(pg.Pool)).toBe(0)
    expect(await counts(OurPool)).toBe(1)
  })
})

/** Forms of the call that pg takes and its types do not know. */
interface AnyForm {
  query(...args: unknown[]): unknown
}

function raise(): never {
  throw new Error('not serializable')
}
