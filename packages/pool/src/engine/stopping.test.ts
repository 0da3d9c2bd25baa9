/** How a pool stops: whatever is in flight, nothing hangs and nothing is lost. */

import { describe, expect, it } from 'vitest'
import { down, outcomeOf, setUp, setUpIdle, setUpLeased } from '../../test/engine-kit.js'

describe('stopping', () => {
  it('does not hang on a creation in flight: gives it up, and destroys what it makes all the same', async () => {
    const { pool, factory, settle, clock } = setUp()
    const caller = outcomeOf(pool.acquire())
    const stopped = outcomeOf(pool.dispose({ deadline: 0 }))
    await settle()
    expect(caller.error).toMatchObject({ kind: 'rejected', code: 'POOL_STOPPING' })
    expect(factory.signals[0]?.aborted).toBe(true)
    expect(stopped).toEqual({})

    factory.make()
    await settle()
    expect(stopped).toEqual({ value: undefined })
    expect(factory.destroyed).toEqual([{ id: 1, reason: 'surplus', force: true }])
    expect(clock.pendingTimers).toBe(0)
  })

  it('waits for a given-up creation no longer than destroyTimeout, and destroys what it makes even after that', async () => {
    const { pool, factory, clock } = setUp({ destroyTimeout: 300 })
    outcomeOf(pool.acquire())
    const stopped = outcomeOf(pool.dispose({ deadline: 100 }))
    await clock.advance(399)
    expect(stopped).toEqual({})
    await clock.advance(1)
    expect(stopped).toHaveProperty('value')

    factory.make()
    await clock.advance(0)
    expect(factory.destroyed).toMatchObject([{ id: 1 }])
  })

  it('serves those who wait before it resolves, as long as the deadline lasts', async () => {
    const { pool, factory, settle } = await setUpIdle({ max: 1 })
    const first = await pool.acquire()
    const waiting = pool.acquire()
    const stopped = outcomeOf(pool.dispose())
    first.release()
    const second = await waiting
    await settle()
    expect(stopped).toEqual({})
    second.release()
    await settle()
    expect(stopped).toHaveProperty('value')
    expect(factory.destroyed).toEqual([{ id: 1, reason: 'drained', force: false }])
  })

  it('takes a leaked lease away at the deadline, and its late release does nothing', async () => {
    const { pool, factory, clock } = await setUpIdle()
    const events: unknown[] = []
    pool.observe(event => events.push(event))
    const lease = await pool.acquire()
    const stopped = outcomeOf(pool.dispose({ deadline: 1_000 }))
    await clock.advance(1_000)
    expect(stopped).toHaveProperty('value')
    expect(factory.destroyed).toEqual([{ id: 1, reason: 'leaked', force: true }])
    expect(events).toContainEqual({ type: 'stop-forced', pool: 'things', pending: 0, leased: 1, creating: 0 })
    lease.release()
    expect(factory.destroyed).toHaveLength(1)
  })

  it('is brought forward by a second call', async () => {
    const { pool, clock } = await setUpIdle()
    await pool.acquire()
    const first = outcomeOf(pool.dispose({ deadline: '1h' }))
    await clock.advance(10)
    expect(first).toEqual({})
    outcomeOf(pool.dispose({ deadline: 50 }))
    await clock.advance(50)
    expect(first).toHaveProperty('value')
    expect(clock.pendingTimers).toBe(0)
  })

  it('is brought forward by its signal', async () => {
    const { pool, settle } = await setUpIdle()
    await pool.acquire()
    const controller = new AbortController()
    const stopped = outcomeOf(pool.dispose({ deadline: '1h', signal: controller.signal }))
    controller.abort()
    await settle()
    expect(stopped).toHaveProperty('value')
  })

  it('outlives a factory that throws from destroy, and reports it', async () => {
    const broken = new Error('destroy')
    const { pool, clock } = setUp({
      factory: {
        create: () => ({ id: 1 }),
        destroy() {
          throw broken
        },
      },
    })
    const events: unknown[] = []
    pool.observe(event => events.push(event))
    ;(await pool.acquire()).release()
    await pool.dispose()
    expect(events).toContainEqual({ type: 'destroy-failed', pool: 'things', error: broken })
    expect(clock.pendingTimers).toBe(0)
  })

  it('destroys each resource once, whatever a listener does about the one before', async () => {
    const { pool, factory, leases } = await setUpLeased(3)
    for (const lease of leases) lease.release()
    pool.observe(event => {
      if (event.type === 'retired') for (const { value } of leases) pool.retire(value)
    })
    await pool.dispose()
    expect(factory.destroyed.map(({ id }) => id).sort()).toEqual([1, 2, 3])
  })

  it('refuses callers who come later', async () => {
    const { pool } = setUp()
    void pool.dispose()
    await expect(pool.acquire()).rejects.toMatchObject({ kind: 'rejected', code: 'POOL_STOPPING', retryable: false })
    expect(pool.tryAcquire()).toBeUndefined()
    expect(pool.stats().acquireRejected).toBe(1)
  })
})

describe('draining', () => {
  it('resolves when the last lease has ended, and destroys what is idle at once', async () => {
    const { pool, factory, settle } = await setUpIdle()
    const one = await pool.acquire()
    const twoAcquired = pool.acquire()
    factory.make()
    ;(await twoAcquired).release()
    const drained = outcomeOf(pool.drain())
    await settle()
    expect(factory.destroyed).toMatchObject([{ id: 2, reason: 'drained' }])
    expect(drained).toEqual({})
    one.release()
    await settle()
    expect(drained).toHaveProperty('value')
    expect(pool.stats()).toMatchObject({ idle: 0, leased: 0, creating: 0 })
  })

  it('rejects at its deadline with what is left, and leaves that alone', async () => {
    const { pool, factory, clock } = await setUpIdle()
    await pool.acquire()
    const drained = outcomeOf(pool.drain({ deadline: '2s' }))
    await clock.advance(2_000)
    expect(drained.error).toMatchObject({
      kind: 'timeout',
      code: 'POOL_DRAIN_TIMEOUT',
      elapsedMs: 2_000,
      message: expect.stringContaining('leased 1'),
    })
    expect(factory.destroyed).toEqual([])
  })

  it('rejects with the reason of its signal', async () => {
    const { pool } = await setUpIdle()
    await pool.acquire()
    const controller = new AbortController()
    const drained = pool.drain({ signal: controller.signal })
    controller.abort(down)
    await expect(drained).rejects.toBe(down)
  })
})
