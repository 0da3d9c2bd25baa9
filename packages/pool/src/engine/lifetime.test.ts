/** Lifetimes: not all at once, and not before what comes after. */

import { describe, expect, it } from 'vitest'
import { outage, setUp, setUpLeased } from '../../test/engine-kit.js'

describe('lifetimes', () => {
  it.each([
    [0, 900],
    [0.5, 1_000],
    [0.999, 1_099.8],
  ])('are spread by a tenth to either side: at random %d they last %d ms', async (random, expectedMs) => {
    const { pool, clock, leases } = await setUpLeased(1, { maxLifetime: 1_000, random: () => random })
    leases[0]?.release()
    await clock.advance(expectedMs - 0.1)
    expect(pool.stats().idle).toBe(1)
    await clock.advance(0.2)
    expect(pool.stats()).toMatchObject({ idle: 0, retired: { lifetime: 1 } })
  })

  it('are for ever by default, whatever the jitter', async () => {
    const options = { lifetimeJitter: 1, random: () => 0, idleTimeout: Number.POSITIVE_INFINITY }
    const { pool, clock, leases } = await setUpLeased(1, options)
    leases[0]?.release()
    await clock.advance(1e9)
    expect(pool.stats()).toMatchObject({ idle: 1, expired: 0 })
  })
})

describe('a resource that has reached its lifetime', () => {
  /** Two leased, one of them put back, and room for a third. */
  async function setUpAtWork(options: Parameters<typeof setUp>[0] = {}) {
    const made = await setUpLeased(2, { max: 3, maxLifetime: 1_000, idleTimeout: '1h', ...options })
    made.leases[1]?.release()
    return made
  }

  it('stays in service while its replacement is made, and goes when that has come', async () => {
    const { pool, factory, clock, settle } = await setUpAtWork()
    await clock.advance(1_000)
    expect(pool.stats()).toMatchObject({ idle: 1, leased: 1, creating: 1 })
    const lease = pool.tryAcquire()
    expect(lease?.value).toEqual({ id: 2 })
    lease?.release()
    expect(factory).toMatchObject({ creating: 1, destroyed: [] })
    factory.make()
    await settle()
    expect(factory.destroyed).toMatchObject([{ id: 2, reason: 'lifetime' }])
    expect(pool.tryAcquire()?.value).toEqual({ id: 3 })
  })

  it('is replaced in the same way when it is released too late', async () => {
    const { pool, factory, clock, leases, settle } = await setUpLeased(2, { max: 3, maxLifetime: 1_000 })
    await clock.advance(1_500)
    leases[1]?.release()
    expect(pool.stats()).toMatchObject({ idle: 1, creating: 1 })
    const lease = pool.tryAcquire()
    factory.make()
    await settle()
    expect(factory.destroyed).toEqual([])
    lease?.release()
    expect(factory.destroyed).toMatchObject([{ id: 2, reason: 'lifetime' }])
    expect(pool.stats()).toMatchObject({ idle: 1, leased: 1 })
  })

  it('is replaced once, however often the pool looks for what is old', async () => {
    const { pool, factory, clock, leases } = await setUpLeased(3, { max: 6, maxLifetime: 1_000, idleTimeout: 1_200 })
    leases[1]?.release()
    await clock.advance(1_100)
    leases[2]?.release()
    await clock.advance(1_300)
    expect(pool.stats()).toMatchObject({ idle: 2, leased: 1, creating: 2 })
    expect(factory.destroyed).toEqual([])
  })

  it('goes although its replacement failed', async () => {
    const { pool, factory, clock, settle } = await setUpAtWork()
    await clock.advance(1_000)
    factory.fail(outage)
    await settle()
    expect(factory.destroyed).toMatchObject([{ id: 2, reason: 'lifetime' }])
    expect(pool.stats()).toMatchObject({ idle: 0, leased: 1, creating: 0 })
    expect(clock.pendingTimers).toBe(0)
  })

  it('goes at once when there is no room for two, and nobody waits for the next', async () => {
    const { pool, factory, clock } = await setUpAtWork({ max: 2 })
    await clock.advance(1_000)
    expect(factory.destroyed).toMatchObject([{ id: 2, reason: 'lifetime' }])
    expect(pool.stats()).toMatchObject({ leased: 1, creating: 0 })
  })

  it('goes at once in a pool that rests', async () => {
    const { pool, factory, clock, leases } = await setUpAtWork()
    leases[0]?.release()
    await clock.advance(1_000)
    expect(factory.destroyed).toHaveLength(2)
    expect(pool.stats()).toMatchObject({ idle: 0, leased: 0, creating: 0 })
  })

  it('goes at once when it is released as the last one in use', async () => {
    const { pool, factory, clock, leases } = await setUpLeased(1, { max: 3, maxLifetime: 1_000 })
    await clock.advance(1_500)
    leases[0]?.release()
    expect(factory.destroyed).toMatchObject([{ id: 1, reason: 'lifetime' }])
    expect(pool.stats()).toMatchObject({ idle: 0, leased: 0, creating: 0 })
  })

  it('is replaced in a pool that rests if min asks for it', async () => {
    const { pool, factory, clock, settle } = setUp({ max: 3, min: 1, maxLifetime: 1_000 })
    const ready = pool.init()
    factory.make()
    await ready
    await clock.advance(1_000)
    expect(pool.stats()).toMatchObject({ idle: 1, creating: 1 })
    factory.make()
    await settle()
    expect(pool.stats()).toMatchObject({ idle: 1, creating: 0, retired: { lifetime: 1 } })
  })

  it('goes with the pool, and so does its replacement', async () => {
    const { pool, factory, clock, leases } = await setUpAtWork()
    await clock.advance(1_000)
    void pool.dispose({ deadline: 0 })
    await clock.advance(0)
    factory.make()
    await clock.advance(0)
    leases[0]?.release()
    expect(factory.destroyed.map(({ id, reason }) => [id, reason]).sort()).toEqual([
      [1, 'leaked'],
      [2, 'drained'],
      [3, 'surplus'],
    ])
    expect(clock.pendingTimers).toBe(0)
  })
})
