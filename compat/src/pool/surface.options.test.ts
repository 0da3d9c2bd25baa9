/** What the options that set limits do, asked of both pools. */

import { createServer, type Socket } from 'node:net'
import { eventually } from '@breakwater/testkit'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { called, contenders, next, OurPool, poolsOf } from '../kit/contenders.js'
import { useDatabase } from '../kit/database.js'

const database = useDatabase()

/** A server that accepts and never answers. Returns its port. */
async function silentServer(): Promise<number> {
  const sockets: Socket[] = []
  const server = createServer(socket => sockets.push(socket.on('error', () => undefined)))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as { port: number }).port
}

describe.each(contenders)('%s', (_, Pool) => {
  const make = poolsOf(Pool, database)

  describe('max', () => {
    it('bounds the connections, and queries wait for their turn', async () => {
      const pool = make({ max: 3 })
      const results = await Promise.all(Array.from({ length: 20 }, (_, n) => pool.query('select $1::int as n', [n])))
      expect(results.map(({ rows }) => rows[0].n)).toEqual(Array.from({ length: 20 }, (_, n) => n))
      expect(pool.totalCount).toBe(3)
    })

    it('is 10 by itself, and may be called poolSize', async () => {
      const out: pg.PoolClient[] = []
      for (const [options, max] of [
        [{}, 10],
        [{ poolSize: 2 }, 2],
      ] as const) {
        const pool = make(options)
        expect(pool.options.max).toBe(max)
        for (let i = 0; i < max; i++) out.push(await pool.connect())
        const waiting = pool.connect()
        expect(pool).toMatchObject({ totalCount: max, waitingCount: 1 })
        for (const client of out.splice(0)) client.release()
        ;(await waiting).release()
      }
    })

    it('of 1 runs one query at a time', async () => {
      const pool = make({ max: 1 })
      const text = `select count(*)::int as running from pg_stat_activity
                    where datname = current_database() and state = 'active' and query = current_query()`
      const results = await Promise.all(Array.from({ length: 10 }, () => pool.query(text)))
      expect(results.map(({ rows }) => rows[0].running)).toEqual(Array.from({ length: 10 }, () => 1))
    })
  })

  describe('idleTimeoutMillis and min', () => {
    it('close what is idle for too long, and keep min', async () => {
      const pool = make({ idleTimeoutMillis: 30, min: 1, max: 3 })
      const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect()])
      const removed: unknown[] = []
      pool.on('remove', client => removed.push(client))
      for (const client of clients) client.release()
      await eventually(() => removed.length === 2)
      expect(pool).toMatchObject({ totalCount: 1, idleCount: 1 })
      for (const client of removed) expect(clients).toContain(client)
    })

    it.each([[0], [null]])('of %s close nothing', async never => {
      const lasting = make({ idleTimeoutMillis: never })
      const brief = make({ idleTimeoutMillis: 30 })
      await lasting.query('select 1')
      const removed = next(brief, 'remove')
      await brief.query('select 1')
      await removed
      expect([brief.totalCount, lasting.totalCount]).toEqual([0, 1])
    })

    it('open nothing by themselves', async () => {
      const pool = make({ min: 2 })
      await pool.query('select 1')
      expect(pool.totalCount).toBe(1)
    })

    it('leave alone what is in use', async () => {
      const pool = make({ idleTimeoutMillis: 10 })
      const client = await pool.connect()
      await client.query('select pg_sleep(0.05)')
      expect(pool.totalCount).toBe(1)
      client.release()
    })
  })

  describe('maxUses', () => {
    it('closes a client at that many releases', async () => {
      const pool = make({ maxUses: 2, max: 1 })
      const first = await pool.connect()
      first.release()
      const again = await pool.connect()
      expect(again).toBe(first)
      const removed = next(pool, 'remove')
      again.release()
      expect(pool.totalCount).toBe(0)
      expect(await removed).toEqual([first])
      const other = await pool.connect()
      expect(other).not.toBe(first)
      other.release()
    })

    it('goes below min', async () => {
      const pool = make({ maxUses: 1, min: 1 })
      await pool.query('select 1')
      expect(pool.totalCount).toBe(0)
    })
  })

  describe('maxLifetimeSeconds', () => {
    it('closes an old client while it is idle, also below min', async () => {
      const pool = make({ maxLifetimeSeconds: 0.05, min: 1 })
      const removed = next(pool, 'remove')
      await pool.query('select 1')
      const [client] = await removed
      expect(client).toBeInstanceOf(pg.Client)
      expect(pool).toMatchObject({ totalCount: 0, expiredCount: 0 })
    })

    it('counts an old client that is in use, and closes it when it is released', async () => {
      const pool = make({ maxLifetimeSeconds: 0.05 })
      const client = await pool.connect()
      expect(pool.expiredCount).toBe(0)
      await eventually(() => pool.expiredCount === 1)
      expect(pool.totalCount).toBe(1)
      const removed = next(pool, 'remove')
      client.release()
      expect(pool).toMatchObject({ totalCount: 0, expiredCount: 0 })
      expect(await removed).toEqual([client])
    })
  })

  describe('connectionTimeoutMillis', () => {
    it('bounds the wait for a client', async () => {
      const pool = make({ max: 1, connectionTimeoutMillis: 250 })
      const client = await pool.connect()
      const error = expect.objectContaining({ message: 'timeout exceeded when trying to connect' })
      const [byCallback, ...byPromise] = await Promise.all([
        called(callback => pool.connect(callback)),
        pool.connect().catch((error: unknown) => error),
        pool.query('select 1').catch((error: unknown) => error),
      ])
      expect(byPromise).toEqual([error, error])
      expect(byCallback.slice(0, 2)).toEqual(byCallback.length === 1 ? [error] : [error, undefined])
      expect(pool).toMatchObject({ totalCount: 1, waitingCount: 0 })
      client.release()
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    })

    it('that has passed for one does not disturb the next', async () => {
      const pool = make({ max: 1, connectionTimeoutMillis: 250 })
      const client = await pool.connect()
      const first = pool.connect()
      const second = eventually(() => pool.waitingCount === 0).then(() => pool.connect())
      await expect(first).rejects.toThrow('timeout exceeded')
      client.release()
      ;(await second).release()
    })

    it('bounds a connect, with what became of it as the cause', async () => {
      const pool = make({
        connectionString: undefined,
        host: '127.0.0.1',
        port: await silentServer(),
        connectionTimeoutMillis: 50,
      })
      const error = await pool.connect().catch((error: unknown) => error)
      expect(error).toMatchObject({
        message: 'Connection terminated due to connection timeout',
        cause: expect.any(Error),
      })
      expect(pool).toMatchObject({ totalCount: 0, idleCount: 0, waitingCount: 0 })
    })

    it('of 0 bounds nothing', async () => {
      const patient = make({ max: 1, connectionTimeoutMillis: 0 })
      const bounded = make({ max: 1, connectionTimeoutMillis: 250 })
      const clients = [await patient.connect(), await bounded.connect()]
      const served = patient.connect()
      await expect(bounded.connect()).rejects.toThrow('timeout exceeded')
      expect(patient.waitingCount).toBe(1)
      for (const client of clients) client.release()
      ;(await served).release()
    })
  })
})

describe('where ours is another on purpose', () => {
  it('waiting and connecting together are bounded, where pg bounds each alone and a second wait not at all', async () => {
    const port = await silentServer()
    const options = { connectionString: undefined, host: '127.0.0.1', port, max: 1, connectionTimeoutMillis: 300 }
    const pool = poolsOf(OurPool, database)(options)
    const startedAt = performance.now()
    const outcomes = await Promise.allSettled([pool.connect(), pool.connect(), pool.connect()])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(performance.now() - startedAt).toBeLessThan(900)
  })
})
