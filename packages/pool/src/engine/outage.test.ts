/** A server that goes away and comes back: callers wait for it as long as they said they would, and no longer. */

import { describe, expect, it } from 'vitest'
import { down, outage, outcomeOf, setUp, setUpIdle, setUpLeased, type Thing } from '../../test/engine-kit.js'

/** A pool that has worked, and whose only thing is gone. */
async function setUpGone(options: Parameters<typeof setUpIdle>[0] = {}) {
  const made = await setUpIdle({ max: 10, ...options })
  ;(await made.pool.acquire()).retire()
  return made
}

describe('while the server is away', () => {
  it('callers wait, one attempt is made at a time, and all are served soon after it is back', async () => {
    const { pool, factory, clock, settle } = await setUpGone({ random: () => 0.99 })
    const callers = Array.from({ length: 20 }, () => outcomeOf(pool.acquire()))
    for (let ms = 0; ms < 4_000; ms += 10) {
      factory.failAll(outage)
      await clock.advance(10)
      expect(factory.creating).toBeLessThanOrEqual(1)
    }
    expect(callers.every(caller => !('error' in caller))).toBe(true)
    factory.failAll(outage)
    await settle()

    // The server is back: an attempt is due within 500 ms, and its success lets the others follow at once.
    await clock.advance(500)
    factory.make()
    await settle()
    expect(factory.creating).toBe(4)
    factory.makeAll()
    await settle()
    factory.makeAll()
    await settle()
    factory.makeAll()
    await settle()
    expect(pool.stats()).toMatchObject({ leased: 10, pending: 10, created: 11 })
  })

  it('a caller whose time is up gets the last error as the cause', async () => {
    const { pool, factory, clock } = await setUpGone()
    const caller = outcomeOf(pool.acquire({ timeout: 300 }))
    factory.fail(outage)
    await clock.advance(299)
    expect(caller).toEqual({})
    await clock.advance(1)
    expect(caller.error).toMatchObject({ code: 'POOL_ACQUIRE_TIMEOUT', cause: outage, elapsedMs: 300 })
  })

  it('a caller may leave by its signal, and the pool may stop', async () => {
    const { pool, factory, clock, settle } = await setUpGone()
    const controller = new AbortController()
    const left = outcomeOf(pool.acquire({ timeout: Number.POSITIVE_INFINITY, signal: controller.signal }))
    const stopped = outcomeOf(pool.acquire())
    factory.fail(outage)
    await settle()
    expect([left, stopped]).toEqual([{}, {}])
    controller.abort(down)
    void pool.dispose({ deadline: 0 })
    await clock.advance(10_000)
    expect(left.error).toBe(down)
    expect(stopped.error).toMatchObject({ code: 'POOL_STOPPING' })
    expect(clock.pendingTimers).toBe(0)
  })

  it('those in use go on, and serve who waits when they are released', async () => {
    const { pool, factory, leases, settle } = await setUpLeased(1, { max: 2 })
    const caller = outcomeOf(pool.acquire())
    factory.fail(outage)
    await settle()
    leases[0]?.release()
    await settle()
    expect(caller.value).toMatchObject({ value: { id: 1 } })
  })
})

describe('a failure rejects the oldest caller all the same', () => {
  it('before the first success: nothing says that it ever worked', async () => {
    const { pool, factory, settle } = setUp()
    const caller = outcomeOf(pool.acquire())
    factory.fail(outage)
    await settle()
    expect(caller.error).toBe(outage)
  })

  it('when the factory does not call it transient', async () => {
    const { pool, factory, settle } = await setUpGone()
    const caller = outcomeOf(pool.acquire())
    factory.fail(down)
    await settle()
    expect(caller.error).toBe(down)
  })

  it('when that caller has set itself no bound', async () => {
    const { pool, factory, settle } = await setUpGone({ acquireTimeout: Number.POSITIVE_INFINITY })
    const caller = outcomeOf(pool.acquire())
    factory.fail(outage)
    await settle()
    expect(caller.error).toBe(outage)
  })

  it('when isTransient throws', async () => {
    let works = true
    const { pool } = setUp({
      factory: {
        create: () => (works ? { id: 1 } : Promise.reject(outage)),
        destroy() {},
        isTransient() {
          throw down
        },
      },
    })
    ;(await pool.acquire()).retire()
    works = false
    await expect(pool.acquire()).rejects.toBe(outage)
  })

  it('and is not asked about again when it is a time-out that the factory calls transient', async () => {
    const asked: unknown[] = []
    let made: Promise<Thing> = Promise.resolve({ id: 1 })
    const { pool, clock } = setUp({
      createTimeout: 100,
      factory: {
        create: () => made,
        destroy() {},
        isTransient(error) {
          asked.push(error)
          return true
        },
      },
    })
    ;(await pool.acquire()).retire()
    made = new Promise(() => {})
    const caller = outcomeOf(pool.acquire({ timeout: 150 }))
    await clock.advance(100)
    expect(caller).toEqual({})
    expect(asked).toMatchObject([{ code: 'POOL_CREATE_TIMEOUT' }])
  })
})

describe('creations at a time', () => {
  it('are no more than maxCreating, and none who fits in max is refused meanwhile', async () => {
    const { pool, factory, settle } = setUp({ max: 5, maxCreating: 2, maxPending: 0 })
    const callers = Array.from({ length: 5 }, () => outcomeOf(pool.acquire()))
    const beyond = outcomeOf(pool.acquire())
    await settle()
    expect(factory.creating).toBe(2)
    expect(beyond.error).toMatchObject({ code: 'POOL_SATURATED' })
    factory.make()
    await settle()
    expect(factory.creating).toBe(2)
    factory.makeAll()
    await settle()
    factory.makeAll()
    await settle()
    expect(callers.every(caller => 'value' in caller)).toBe(true)
  })
})
