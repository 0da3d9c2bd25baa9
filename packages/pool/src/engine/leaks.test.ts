/** Leases that do not come back: who has them is told, and what they hold is taken back if the user wants that. */

import { describe, expect, it } from 'vitest'
import { outcomeOf, setUp, setUpLeased } from '../../test/engine-kit.js'
import type { ResourcePool } from './resource-pool.js'
import type { ResourcePoolEvent } from './stats.js'

function leaksOf(pool: ResourcePool<never> | { observe: ResourcePool<never>['observe'] }) {
  const leaks: Extract<ResourcePoolEvent, { type: 'lease-leaked' }>[] = []
  pool.observe(event => event.type === 'lease-leaked' && leaks.push(event))
  return leaks
}

describe('a lease that is held for too long', () => {
  it('is reported once, with the place where it was acquired', async () => {
    const { pool, factory, clock } = setUp({ leakWarningAfter: '1s' })
    const leaks = leaksOf(pool)
    const acquired = (function theCulprit() {
      return pool.acquire()
    })()
    factory.make()
    const lease = await acquired
    await clock.advance(999)
    expect(leaks).toEqual([])
    await clock.advance(5_000)
    expect(leaks).toMatchObject([{ pool: 'things', heldMs: 1_000, reclaimed: false }])
    expect(leaks[0]?.acquiredAt).toMatch(/theCulprit.*leaks\.test/)
    expect(leaks[0]?.acquiredAt).not.toMatch(/^Error|^\[object/)
    expect(pool.stats()).toMatchObject({ leaked: 1, leased: 1 })
    lease.release()
    expect(pool.stats()).toMatchObject({ idle: 1 })
  })

  it('is told from those that come back in time, each by its own clock', async () => {
    const { pool, clock, leases } = await setUpLeased(2, { leakWarningAfter: 1_000 })
    const leaks = leaksOf(pool)
    await clock.advance(600)
    leases[0]?.release()
    const again = (function heldLater() {
      return pool.tryAcquire()
    })()
    leases[1]?.release()
    await clock.advance(999)
    expect(leaks).toEqual([])
    await clock.advance(1)
    expect(leaks).toMatchObject([{ heldMs: 1_000, acquiredAt: expect.stringContaining('heldLater') }])
    // The next look must not find the first one again.
    const other = pool.tryAcquire()
    await clock.advance(1_000)
    expect(leaks).toHaveLength(2)
    again?.release()
    other?.release()
    await clock.advance(10_000)
    expect(leaks).toHaveLength(2)
  })

  it('leaves no timer in a pool that has stopped, nor one in a pool without the option', async () => {
    const { pool, clock, leases } = await setUpLeased(1, { leakWarningAfter: 1_000 })
    leases[0]?.release()
    await pool.dispose()
    expect(clock.pendingTimers).toBe(0)
    const without = await setUpLeased(1)
    expect(without.clock.pendingTimers).toBe(0)
  })

  it('does not change how long the stacks of others are', async () => {
    const before = Error.stackTraceLimit
    await setUpLeased(1, { leakWarningAfter: 1_000 })
    expect(Error.stackTraceLimit).toBe(before)
  })
})

describe('reclaiming', () => {
  it('destroys the resource by force, makes room for who waits, and lets the late release do nothing', async () => {
    const { pool, factory, clock, leases, settle } = await setUpLeased(1, {
      leakWarningAfter: 1_000,
      reclaimLeaked: true,
    })
    const leaks = leaksOf(pool)
    const waiting = outcomeOf(pool.acquire())
    await clock.advance(1_000)
    expect(leaks).toMatchObject([{ reclaimed: true }])
    expect(factory.destroyed).toEqual([{ id: 1, reason: 'leaked', force: true }])
    factory.make()
    await settle()
    expect(waiting.value).toMatchObject({ value: { id: 2 } })
    leases[0]?.release()
    expect(pool.stats()).toMatchObject({ leased: 1, idle: 0, use: { count: 0 } })
    expect(factory.destroyed).toHaveLength(1)
  })

  it('lets a stop end that waits for the lease', async () => {
    const { pool, clock } = await setUpLeased(1, { leakWarningAfter: 1_000, reclaimLeaked: true })
    const stopped = outcomeOf(pool.dispose({ deadline: '1h' }))
    await clock.advance(1_000)
    expect(stopped).toHaveProperty('value')
    expect(clock.pendingTimers).toBe(0)
  })
})
