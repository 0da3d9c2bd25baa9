/** What a pool tells of its durations. */

import { describe, expect, it } from 'vitest'
import { setUp } from '../../test/engine-kit.js'

describe('the stats of a pool', () => {
  it('tell how long callers waited, leases lasted and creations took, and are a copy', async () => {
    const { pool, factory, clock } = setUp({ max: 1 })
    const first = pool.acquire()
    await clock.advance(30)
    factory.make()
    const lease = await first
    const second = pool.acquire()
    await clock.advance(400)
    lease.release()
    ;(await second).release()
    ;(await pool.acquire()).release()
    const stats = pool.stats()
    expect(stats.create).toMatchObject({ count: 1, sumMs: 30 })
    expect(stats.wait).toMatchObject({ count: 3, sumMs: 430, maxMs: 400 })
    expect(stats.wait.buckets[0]).toBe(1)
    expect(stats.use).toMatchObject({ count: 3, sumMs: 400, maxMs: 400 })
    expect(structuredClone(stats)).toEqual(stats)
    ;(await pool.acquire()).release()
    expect(stats.use.count).toBe(3)
  })
})
