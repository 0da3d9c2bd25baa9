/** A pool whose size changes: it grows at once, and shrinks without taking anything from anybody. */

import { describe, expect, it } from 'vitest'
import { outcomeOf, setUp, setUpLeased } from '../../test/engine-kit.js'

describe('resize', () => {
  it('serves those who wait at once when it grows', async () => {
    const { pool, factory, settle } = await setUpLeased(1)
    const callers = [outcomeOf(pool.acquire()), outcomeOf(pool.acquire())]
    expect(factory.creating).toBe(0)
    pool.resize({ max: 3 })
    expect(pool.stats()).toMatchObject({ max: 3, creating: 1 })
    factory.make()
    await settle()
    factory.make()
    await settle()
    expect(callers).toMatchObject([{ value: { value: { id: 2 } } }, { value: { value: { id: 3 } } }])
  })

  it('shrinks by what is idle, used longest ago first, then by what is released', async () => {
    const { pool, factory, leases } = await setUpLeased(4)
    leases[1]?.release()
    leases[0]?.release()
    pool.resize({ max: 3 })
    expect(factory.destroyed).toMatchObject([{ id: 2, reason: 'surplus' }])
    pool.resize({ max: 1 })
    expect(factory.destroyed).toMatchObject([{ id: 2 }, { id: 1, reason: 'surplus' }])
    leases[2]?.release()
    expect(factory.destroyed).toMatchObject([{ id: 2 }, { id: 1 }, { id: 3, reason: 'surplus' }])
    leases[3]?.release()
    expect(pool.stats()).toMatchObject({ idle: 1, leased: 0, max: 1 })
  })

  it('lets nobody who waits have what is too much', async () => {
    const { pool, factory, leases, settle } = await setUpLeased(2)
    const waiting = outcomeOf(pool.acquire())
    pool.resize({ max: 1 })
    leases[0]?.release()
    await settle()
    expect(waiting).toEqual({})
    expect(factory.destroyed).toMatchObject([{ id: 1, reason: 'surplus' }])
    leases[1]?.release()
    await settle()
    expect(waiting.value).toMatchObject({ value: { id: 2 } })
  })

  it('gives up what is being made before what is there', async () => {
    const { pool, factory, leases, settle } = await setUpLeased(1, { max: 3, maxCreating: 2 })
    const waiting = [outcomeOf(pool.acquire()), outcomeOf(pool.acquire())]
    pool.resize({ max: 2 })
    expect(factory.signals.map(({ aborted }) => aborted)).toEqual([false, false, true])
    pool.resize({ max: 1 })
    expect(pool.stats()).toMatchObject({ leased: 1, creating: 0, pending: 2 })
    factory.make()
    await settle()
    expect(factory.destroyed).toMatchObject([{ id: 2, reason: 'surplus' }])
    leases[0]?.release()
    await settle()
    expect(waiting).toMatchObject([{ value: { value: { id: 1 } } }, {}])
  })

  it('opens what a higher min asks for, and lets go what a lower one does not', async () => {
    const { pool, factory, clock, settle } = setUp({ max: 3, min: 1, idleTimeout: 100 })
    const ready = pool.init()
    factory.make()
    await ready
    pool.resize({ min: 2 })
    expect(factory.creating).toBe(1)
    factory.make()
    await settle()
    await clock.advance(1_000)
    expect(pool.stats()).toMatchObject({ idle: 2, min: 2 })
    pool.resize({ min: 0 })
    await clock.advance(0)
    expect(pool.stats()).toMatchObject({ idle: 0, retired: { idle: 2 } })
  })

  it.each([
    [{ max: 0 }, /max must be/],
    [{ max: 1, min: 2 }, /min must be/],
    [{ size: 3 }, /size is not an option/],
  ])('refuses %j and changes nothing', (size, message) => {
    const { pool } = setUp({ max: 2 })
    expect(() => pool.resize(size as object)).toThrow(
      expect.objectContaining({ code: 'POOL_OPTIONS_INVALID', message: expect.stringMatching(message) }),
    )
    expect(pool.stats()).toMatchObject({ max: 2, min: 0 })
  })
})
