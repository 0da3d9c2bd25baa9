/** What the options do that hand a pool something to call or to make, or are the client's own. Asked of both pools. */

import pg from 'pg'
import { describe, expect, it, vi } from 'vitest'
import { contenders, next, poolsOf } from '../kit/contenders.js'
import { useDatabase } from '../kit/database.js'

const database = useDatabase()

describe.each(contenders)('%s', (_, Pool) => {
  const make = poolsOf(Pool, database)

  describe('verify', () => {
    it('sees each new client once', async () => {
      const verify = vi.fn((_: pg.PoolClient, done: (error?: Error) => void) => done())
      const pool = make({ verify })
      const client = await pool.connect()
      client.release()
      ;(await pool.connect()).release()
      await pool.query('select 1')
      expect(verify).toHaveBeenCalledExactlyOnceWith(client, expect.any(Function))
    })

    it('refuses a client, which is closed then', async () => {
      const refused = new Error('not this one')
      const pool = make({ verify: (_: pg.PoolClient, done: (error?: Error) => void) => done(refused) })
      const removed = next(pool, 'remove')
      await expect(pool.connect()).rejects.toBe(refused)
      expect(pool).toMatchObject({ totalCount: 0, idleCount: 0 })
      await removed
      const args = await new Promise<unknown[]>(resolve => pool.connect((...args) => resolve(args)))
      expect(args).toEqual([refused, undefined, expect.any(Function)])
    })

    it('may take its time, and query', async () => {
      const pool = make({
        verify: (client: pg.PoolClient, done: (error?: Error) => void) => {
          client.query('set statement_timeout = 4321').then(() => done(), done)
        },
      })
      expect((await pool.query('show statement_timeout')).rows).toEqual([{ statement_timeout: '4321ms' }])
    })
  })

  describe('onConnect', () => {
    it('prepares each new client, at once or in its time', async () => {
      const onConnect = vi.fn((client: pg.ClientBase) => client.query('set statement_timeout = 4321'))
      const pool = make({ onConnect })
      const client = await pool.connect()
      expect((await client.query('show statement_timeout')).rows).toEqual([{ statement_timeout: '4321ms' }])
      client.release()
      await pool.query('select 1')
      expect(onConnect).toHaveBeenCalledExactlyOnceWith(client)
    })

    it.each<[string, () => unknown]>([
      ['throws', () => raise()],
      ['rejects', () => Promise.reject(new Error('not ready'))],
    ])('fails the connect when it %s, and leaves nothing', async (_, onConnect) => {
      const connected = vi.fn()
      const pool = make({ onConnect }).on('connect', connected)
      await expect(pool.connect()).rejects.toThrow('not ready')
      await expect(pool.query('select 1')).rejects.toThrow('not ready')
      expect(connected).not.toHaveBeenCalled()
      expect(pool).toMatchObject({ totalCount: 0, idleCount: 0, waitingCount: 0 })
      await database.expectNoConnection()
    })
  })

  describe('Client', () => {
    it('is what connects', async () => {
      class OwnClient extends pg.Client {}
      const pool = make({ Client: OwnClient })
      const client = await pool.connect()
      expect(client).toBeInstanceOf(OwnClient)
      client.release()
    })
  })

  describe('Promise', () => {
    it('is what is returned, for successes and failures', async () => {
      class OwnPromise<T> extends Promise<T> {}
      const pool = make({ Promise: OwnPromise })
      const connected = pool.connect()
      const queried = pool.query('select 1')
      const failed = pool.query('select bad')
      for (const promise of [connected, queried, failed]) expect(promise).toBeInstanceOf(OwnPromise)
      await expect(failed).rejects.toThrow()
      ;(await connected).release()
      await queried
      const ended = pool.end()
      expect(ended).toBeInstanceOf(OwnPromise)
      await ended
      const late = [pool.connect(), pool.query('select 1'), pool.end()]
      for (const promise of late) expect(promise).toBeInstanceOf(OwnPromise)
      expect((await Promise.allSettled(late)).map(({ status }) => status)).toEqual(late.map(() => 'rejected'))
    })
  })

  describe('log', () => {
    it('is told what happens, and is what the pool has as log', async () => {
      const log = vi.fn()
      const pool = make({ log })
      expect(pool).toMatchObject({ log })
      await pool.query('select 1')
      expect(log.mock.calls.length).toBeGreaterThan(0)
      for (const [message] of log.mock.calls) expect(message).toBeTypeOf('string')
    })
  })

  describe("the client's own", () => {
    it('reach the server and the driver', async () => {
      const pool = make({
        options: '-c work_mem=4321kB',
        query_timeout: 2_000,
        keepAlive: true,
        types: { getTypeParser: () => (value: string) => `<${value}>` },
      })
      expect((await pool.query('show work_mem')).rows).toEqual([{ work_mem: '<4321kB>' }])
      await expect(make({ query_timeout: 50 }).query('select pg_sleep(0.3)')).rejects.toThrow('Query read timeout')
    })

    it('pipeline makes clients that do', async () => {
      const pool = make({ pipeline: true })
      const client = await pool.connect()
      expect(client.pipeline).toBe(true)
      const results = await Promise.all([client.query('select 1 as n'), client.query('select 2 as n')])
      expect(results.map(({ rows }) => rows)).toEqual([[{ n: 1 }], [{ n: 2 }]])
      client.release()
    })

    it('may name the server in parts', async () => {
      const { hostname, port, username, password } = new URL(database.url)
      const parts = { host: hostname, port: Number(port), user: username, password, database: database.name }
      const pool = make({ connectionString: undefined, ...parts })
      expect((await pool.query('select current_database() as name')).rows).toEqual([{ name: database.name }])
    })
  })
})

function raise(): never {
  throw new Error('not ready')
}
