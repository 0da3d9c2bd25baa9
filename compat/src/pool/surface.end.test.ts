/** `pool.end`, and a pool that has ended, asked of both pools. */

import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { called, contenders, OurPool, type PoolClass, poolsOf } from '../kit/contenders.js'
import { useDatabase } from '../kit/database.js'

const ENDED = 'Cannot use a pool after calling end on the pool'
const ENDED_TWICE = 'Called end on pool more than once'
const database = useDatabase()

describe.each(contenders)('%s', (_, Pool) => {
  const make = poolsOf(Pool, database)

  it('ends unused, by promise and by callback', async () => {
    const promise = make().end()
    expect(promise.constructor).toBe(Promise)
    expect(await promise).toBeUndefined()
    const pool = make()
    let returned: unknown = 'something'
    const args = await called(callback => {
      returned = pool.end(callback)
    })
    expect(returned).toBeUndefined()
    expect(args).toEqual([])
  })

  it('is ending from the call on, and ended when that is over', async () => {
    const pool = make()
    const client = await pool.connect()
    const ended = pool.end()
    expect(pool).toMatchObject({ ending: true, ended: false })
    client.release()
    await ended
    expect(pool).toMatchObject({ ending: true, ended: true, totalCount: 0, idleCount: 0 })
    await database.expectNoConnection()
  })

  it('lets a query that runs end', async () => {
    const pool = make()
    const query = pool.query('select pg_sleep(0.05), 1 as one')
    const order: string[] = []
    const results = await Promise.all([
      query.then(({ rows }) => {
        order.push('query')
        return rows[0].one
      }),
      pool.end().then(() => void order.push('end')),
    ])
    expect(results[0]).toBe(1)
    expect(order).toEqual(['query', 'end'])
  })

  it('waits for a client that is out, which works until it is released', async () => {
    const pool = make()
    const client = await pool.connect()
    let isOver = false
    const ended = pool.end().then(() => {
      isOver = true
    })
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(isOver).toBe(false)
    expect(pool).toMatchObject({ totalCount: 1, idleCount: 0 })
    client.release()
    expect(pool.totalCount).toBe(0)
    await ended
  })

  it('closes idle clients at once', async () => {
    const pool = make()
    const [client, other] = await Promise.all([pool.connect(), pool.connect()])
    other.release()
    const ended = pool.end()
    expect(pool).toMatchObject({ totalCount: 1, idleCount: 0 })
    client.release()
    await ended
  })

  it('is refused a second time, in the words of pg', async () => {
    const pool = make()
    const first = pool.end()
    await expect(pool.end()).rejects.toThrow(new RegExp(`^${ENDED_TWICE}$`))
    expect(await called(callback => pool.end(callback))).toEqual([expect.objectContaining({ message: ENDED_TWICE })])
    await first
    await expect(pool.end()).rejects.toThrow(ENDED_TWICE)
  })

  it.each([['while it ends'], ['when it has ended']])('refuses everybody %s, in the words of pg', async when => {
    const pool = make()
    const client = await pool.connect()
    const ended = pool.end()
    if (when === 'when it has ended') {
      client.release()
      await ended
    }
    await expect(pool.connect()).rejects.toThrow(new RegExp(`^${ENDED}$`))
    await expect(pool.query('select 1')).rejects.toThrow(new RegExp(`^${ENDED}$`))
    const error = expect.objectContaining({ message: ENDED })
    expect((await called(callback => pool.connect(callback)))[0]).toEqual(error)
    expect(await called(callback => pool.query('select 1', callback))).toEqual([error])
    expect(await called(callback => pool.query('select $1', [1], callback))).toEqual([error])
    if (when === 'while it ends') client.release()
    await ended
  })
})

describe('where ours is another on purpose', () => {
  /** Ends a pool of one with two callers who wait, and tells what has become of them. */
  async function callersAtEnd(Pool: PoolClass): Promise<string[]> {
    const pool = poolsOf(Pool, database)({ max: 1 })
    const client = await pool.connect()
    const fates = ['pending', 'pending']
    const query = pool.query('select 1').then(() => {
      fates[0] = 'served'
    })
    const connect = pool.connect().then(client => {
      fates[1] = 'served'
      client.release()
    })
    const ended = pool.end()
    client.release()
    await ended
    if (Pool === OurPool) await Promise.all([query, connect])
    return fates
  }

  it('serves those who waited when it was ended, where pg leaves them pending for ever', async () => {
    expect(await callersAtEnd(pg.Pool)).toEqual(['pending', 'pending'])
    expect(await callersAtEnd(OurPool)).toEqual(['served', 'served'])
  })

  it('resolves when its sockets are closed, where pg has only begun to close them', async () => {
    const openAtEnd = async (Pool: PoolClass): Promise<number> => {
      const pool = poolsOf(Pool, database)({ max: 3 })
      const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect()])
      for (const client of clients) client.release()
      await pool.end()
      return clients.filter(({ connection }) => !connection.stream.destroyed).length
    }
    expect(await openAtEnd(pg.Pool)).toBe(3)
    expect(await openAtEnd(OurPool)).toBe(0)
  })
})
