/** The end of a pool: with pg.Pool some promises never settle, and sockets are still open when it resolves; not here. */

import { Socket } from 'node:net'
import type pg from 'pg'
import { describe, expect, it } from 'vitest'
import { times, useDatabase, within } from '../../test/pool-kit.js'
import type { PoolConfig } from '../pool-options.js'

const database = useDatabase()
const SOON_MS = 400

describe('end()', () => {
  it('loses those who wait with pg.Pool, and serves them here', async () => {
    async function outcomeOfWaiting(pool: pg.Pool): Promise<unknown> {
      const client = await pool.connect()
      const waiting = pool.query('select 1 as one')
      const ended = pool.end()
      client.release()
      await ended
      return within(SOON_MS, waiting)
    }
    expect(await outcomeOfWaiting(database.stockPool({ max: 1 }))).toBe('pending')
    expect(await outcomeOfWaiting(database.pool({ max: 1 }))).toMatchObject({ rows: [{ one: 1 }] })
  })

  it('never resolves with pg.Pool while a client is leaked, and here at its deadline, with the backend gone', async () => {
    const stock = database.stockPool({ max: 1 })
    await stock.connect()
    expect(await within(SOON_MS, stock.end())).toBe('pending')

    const pool = database.pool({ max: 1, drainTimeout: 100 })
    const before = await database.backends()
    await pool.connect()
    expect(await within(SOON_MS, pool.end())).toBeUndefined()
    expect(await database.backends()).toEqual(before)
  })

  it('with a running query: waits for it, and at its deadline cancels it, with the backend gone', async () => {
    const other = await database.stockPool().connect()
    await other.query('select pg_advisory_lock(1)')
    const before = await database.backends()
    const patient = database.pool()
    const slow = patient.query('select pg_advisory_lock(1), 1 as one')
    await database.waitingForLocks()
    const ended = patient.end()
    expect(await within(100, ended)).toBe('pending')
    await other.query('select pg_advisory_unlock(1)')
    await ended
    expect((await slow).rows).toMatchObject([{ one: 1 }])

    const pool = database.pool({ drainTimeout: 50 })
    const query = pool.query('select pg_sleep(60)').catch(error => error)
    await database.waitUntilRunning(1)
    expect(await within(SOON_MS, pool.end())).toBeUndefined()
    expect(await database.backends()).toEqual(before)
    expect(await query).toMatchObject({ code: '57014' })
  })

  it('resolves before its sockets are closed with pg.Pool, and after that here', async () => {
    async function openAfterEnd(make: (options: PoolConfig) => pg.Pool): Promise<number> {
      const sockets: Socket[] = []
      const stream = (): Socket => sockets[sockets.push(new Socket()) - 1] as Socket
      const pool = make({ stream })
      await times(2, () => pool.query('select pg_sleep(0.01)'))
      expect(sockets).toHaveLength(2)
      await pool.end()
      return sockets.filter(({ closed }) => !closed).length
    }
    expect(await openAfterEnd(database.stockPool)).toBe(2)
    expect(await openAfterEnd(database.pool)).toBe(0)
  })
})
