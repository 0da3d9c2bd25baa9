/** `pool.connect` and `client.release`, asked of both pools. */

import pg from 'pg'
import { describe, expect, it, vi } from 'vitest'
import { called, contenders, next, poolsOf } from '../kit/contenders.js'
import { useDatabase } from '../kit/database.js'

const RELEASED_TWICE = 'Release called on client which has already been released to the pool.'
const database = useDatabase()

describe.each(contenders)('%s', (_, Pool) => {
  const make = poolsOf(Pool, database)

  describe('connect', () => {
    it('is a promise of the platform, of a connected client', async () => {
      const promise = make().connect()
      expect(promise.constructor).toBe(Promise)
      const client = await promise
      expect(client).toBeInstanceOf(pg.Client)
      expect(client.constructor.name).not.toContain('Pool')
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      client.release()
    })

    it('takes a callback, returns nothing then, and hands it the client and its release', async () => {
      const pool = make()
      let returned: unknown = 'something'
      const [error, client, release] = await called(callback => {
        returned = pool.connect(callback)
      })
      expect(returned).toBeUndefined()
      expect(error).toBeUndefined()
      expect(client).toBeInstanceOf(pg.Client)
      expect(release).toBe((client as pg.PoolClient).release)
      ;(release as () => void)()
      expect(pool.idleCount).toBe(1)
    })

    it('never calls back before the next tick, whether a client is idle or not', async () => {
      const pool = make({ max: 1 })
      for (let i = 0; i < 2; i++) {
        const order: string[] = []
        const [, client] = await called(callback => {
          pool.connect((...args) => {
            order.push('callback')
            callback(...args)
          })
          order.push('returned')
        })
        ;(client as pg.PoolClient).release()
        expect(order).toEqual(['returned', 'callback'])
      }
    })

    it('hands a failure over without a client, but with a release that does nothing', async () => {
      const pool = make({ connectionString: undefined, host: '127.0.0.1', port: 1 })
      const [error, client, release] = await called(callback => pool.connect(callback))
      expect(error).toMatchObject({ code: 'ECONNREFUSED' })
      expect(client).toBeUndefined()
      expect((release as () => unknown)()).toBeUndefined()
      await expect(pool.connect()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
      expect(pool).toMatchObject({ totalCount: 0, idleCount: 0, waitingCount: 0 })
    })

    it('fails one after the other where each connect fails', async () => {
      const pool = make({ connectionString: undefined, host: '127.0.0.1', port: 1, max: 1 })
      const outcomes = await Promise.allSettled([pool.connect(), pool.connect(), pool.connect()])
      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ECONNREFUSED' } })
      }
    })

    it('serves those who wait in the order of their calls, with the client that was released', async () => {
      const pool = make({ max: 1 })
      const client = await pool.connect()
      const order: number[] = []
      const waiting = [0, 1, 2].map(async n => {
        const mine = await pool.connect()
        order.push(n)
        expect(mine).toBe(client)
        mine.release()
      })
      expect(pool.waitingCount).toBe(3)
      client.release()
      await Promise.all(waiting)
      expect(order).toEqual([0, 1, 2])
      expect(pool).toMatchObject({ waitingCount: 0, idleCount: 1 })
    })
  })

  describe('a client', () => {
    it('is the same object for as long as its connection lives', async () => {
      const pool = make({ max: 1 })
      const client = await pool.connect()
      Object.assign(client, { mark: 'mine' })
      client.release()
      const again = await pool.connect()
      expect(again).toBe(client)
      expect(again).toMatchObject({ mark: 'mine', processID: expect.any(Number) })
      again.release(true)
      const other = await pool.connect()
      expect(other).not.toBe(client)
      other.release()
    })

    it('gets a new release at each checkout, a property of its own', async () => {
      const pool = make({ max: 1 })
      const releases = new Set<unknown>()
      for (let i = 0; i < 3; i++) {
        const client = await pool.connect()
        expect(Object.hasOwn(client, 'release')).toBe(true)
        releases.add(client.release)
        client.release()
      }
      expect(releases.size).toBe(3)
    })

    it('counts in _poolUseCount how often it was released', async () => {
      const pool = make({ max: 1 })
      const client = (await pool.connect()) as pg.PoolClient & { _poolUseCount?: number }
      client.release()
      expect(client._poolUseCount).toBe(1)
      await pool.query('select 1')
      expect(client._poolUseCount).toBe(2)
    })

    it('keeps what listeners its user adds, and gathers none of the pool', async () => {
      const pool = make({ max: 1 })
      const client = await pool.connect()
      const listener = vi.fn()
      client.on('notice', listener)
      client.release()
      for (let i = 0; i < 20; i++) (await pool.connect()).release()
      expect(client.listeners('notice')).toEqual([listener])
      for (const event of ['error', 'end', 'drain']) expect(client.listenerCount(event)).toBeLessThanOrEqual(2)
    })
  })

  describe('release', () => {
    it('gives the client back, at once', async () => {
      const pool = make()
      const client = await pool.connect()
      expect(pool).toMatchObject({ totalCount: 1, idleCount: 0 })
      expect(client.release()).toBeUndefined()
      expect(pool).toMatchObject({ totalCount: 1, idleCount: 1 })
    })

    it.each([[false], [null], [undefined], [0], ['']])('with %s gives it back too', async falsy => {
      const pool = make()
      ;(await pool.connect()).release(falsy as false)
      expect(pool).toMatchObject({ totalCount: 1, idleCount: 1 })
    })

    it.each([[true], [new Error('mine')], ['a reason'], [1]])(
      'with %s closes the client, and counts it no more',
      async reason => {
        const pool = make()
        const client = await pool.connect()
        const removed = next(pool, 'remove')
        client.release(reason as true)
        expect(pool).toMatchObject({ totalCount: 0, idleCount: 0 })
        expect(await removed).toEqual([client])
        await database.expectNoConnection()
      },
    )

    it('throws at each call but the first, in the words of pg', async () => {
      const pool = make({ max: 1 })
      const client = await pool.connect()
      client.release()
      for (let i = 0; i < 2; i++) expect(() => client.release()).toThrow(new RegExp(`^${RELEASED_TWICE}$`))
      const [, again, done] = (await called(callback => pool.connect(callback))) as [unknown, pg.PoolClient, () => void]
      done()
      for (const release of [done, again.release, () => again.release(true)]) {
        expect(() => release()).toThrow(RELEASED_TWICE)
      }
      expect(pool).toMatchObject({ totalCount: 1, idleCount: 1 })
    })

    it('of an earlier checkout throws too, and takes nothing from the present one', async () => {
      const pool = make({ max: 1 })
      const client = await pool.connect()
      const stale = client.release
      stale()
      const again = await pool.connect()
      expect(() => stale()).toThrow(RELEASED_TWICE)
      expect(pool).toMatchObject({ totalCount: 1, idleCount: 0 })
      expect((await again.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      again.release()
    })

    it('closes a client whose user has ended it', async () => {
      const pool = make({ max: 1 })
      const client = await pool.connect()
      void client.end()
      client.release()
      expect(pool).toMatchObject({ totalCount: 0, idleCount: 0 })
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    })

    it('closes a client that has lost its connection', async () => {
      const pool = make({ max: 1 })
      const client = await pool.connect()
      const lost = next(client, 'error')
      client.connection.end()
      await lost
      expect(pool).toMatchObject({ totalCount: 1, idleCount: 0 })
      client.release()
      expect(pool).toMatchObject({ totalCount: 0, idleCount: 0 })
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    })
  })

  describe('an error of a client', () => {
    it('that is idle takes it out of the pool, which emits it, in the same turn', async () => {
      const pool = make()
      const client = await pool.connect()
      client.release()
      const seen: unknown[] = []
      pool.on('error', (...args) => seen.push(args, pool.totalCount, pool.idleCount))
      const error = new Error('on purpose')
      client.emit('error', error)
      expect(seen).toEqual([[error, client], 0, 0])
      expect(error).toMatchObject({ client })
    })

    it('that is idle and killed by the server does the same', async () => {
      const pool = make()
      const client = await pool.connect()
      client.release()
      const [emitted, removed] = [next(pool, 'error'), next(pool, 'remove')]
      await database.killBackends()
      expect(await emitted).toEqual([expect.objectContaining({ code: '57P01', client }), client])
      expect(await removed).toEqual([client])
      expect(pool.totalCount).toBe(0)
    })

    it("that is in use is its user's business, until the release", async () => {
      const pool = make()
      const client = await pool.connect()
      const ofPool = vi.fn()
      pool.on('error', ofPool)
      // Two: what the server said, and that it has hung up.
      client.on('error', () => undefined)
      const ofClient = next(client, 'error')
      await database.killBackends()
      expect(await ofClient).toEqual([expect.objectContaining({ code: '57P01' })])
      expect(pool.totalCount).toBe(1)
      await expect(client.query('select 1')).rejects.toThrow(
        'Client has encountered a connection error and is not queryable',
      )
      client.release()
      expect(pool.totalCount).toBe(0)
      expect(ofPool).not.toHaveBeenCalled()
    })
  })
})
