/** How callers meet resources: in order, within bounds, and with an answer whatever the factory does. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { BreakwaterError } from '@breakwater/kernel'
import { describe, expect, it } from 'vitest'
import { down, outcomeOf, setUp, setUpIdle, type Thing } from '../../test/engine-kit.js'
import type { ResourceFactory } from './options.js'
import { ResourcePool } from './resource-pool.js'

describe('acquiring', () => {
  it('serves a caller by a freed resource while one is being created for it, and keeps the new one', async () => {
    const { pool, factory, settle } = await setUpIdle()
    const first = await pool.acquire()
    const waiting = outcomeOf(pool.acquire())
    await settle()
    expect(factory.creating).toBe(1)
    first.release()
    await settle()
    expect(waiting.value).toMatchObject({ value: { id: 1 } })
    factory.make()
    await settle()
    expect(pool.stats()).toMatchObject({ idle: 1, leased: 1, creating: 0 })
  })

  it('serves a caller by a new resource while another is leased', async () => {
    const { pool, factory } = await setUpIdle()
    await pool.acquire()
    const waiting = pool.acquire()
    factory.make()
    expect((await waiting).value).toEqual({ id: 2 })
  })

  it('serves first come, first served', async () => {
    const { pool } = await setUpIdle({ max: 1 })
    const lease = await pool.acquire()
    const order: string[] = []
    const callers = ['a', 'b', 'c'].map(async name => {
      const own = await pool.acquire()
      order.push(name)
      own.release()
    })
    lease.release()
    expect(pool.tryAcquire()).toBeUndefined()
    await Promise.all(callers)
    expect(order).toEqual(['a', 'b', 'c'])
  })

  it('never opens more than max', async () => {
    const { pool, factory, settle } = setUp({ max: 2 })
    for (let i = 0; i < 5; i++) outcomeOf(pool.acquire())
    await settle()
    expect(factory.creating).toBe(2)
    expect(pool.stats()).toMatchObject({ creating: 2, pending: 5 })
  })

  it('hands out the resource that was used last', async () => {
    const { pool, factory } = setUp({ max: 2 })
    const both = [pool.acquire(), pool.acquire()]
    factory.make()
    factory.make()
    const [one, two] = await Promise.all(both)
    two?.release()
    one?.release()
    expect((await pool.acquire()).value).toEqual({ id: 1 })
  })

  it('times out with the state of the pool and the last error of the factory', async () => {
    const { pool, factory, clock } = setUp({ max: 1 })
    const first = outcomeOf(pool.acquire())
    const second = outcomeOf(pool.acquire({ timeout: 250 }))
    factory.fail(Object.assign(down, { code: 'ECONNREFUSED' }))
    await clock.advance(250)
    expect(first.error).toBe(down)
    expect(second.error).toBeInstanceOf(BreakwaterError)
    expect(second.error).toMatchObject({
      kind: 'timeout',
      code: 'POOL_ACQUIRE_TIMEOUT',
      retryable: true,
      elapsedMs: 250,
      cause: down,
      stats: { pending: 0, creating: 1 },
      message:
        'pool "things": no resource after 250 ms (idle 0, leased 0, creating 1, pending 0, max 1); last create error: ECONNREFUSED',
    })
  })

  it('times each caller out at its own time, in whatever order they came, and keeps no timer for the rest', async () => {
    const { pool, clock } = await setUpIdle({ max: 1 })
    const held = await pool.acquire()
    const ended: string[] = []
    const wait = (name: string, timeout: number): void => {
      pool.acquire({ timeout }).then(
        lease => {
          ended.push(`${name} served`)
          lease.release()
        },
        error => ended.push(`${name} after ${error.elapsedMs}`),
      )
    }
    wait('patient', 10_000)
    wait('hasty', 100)
    wait('steady', 300)
    await clock.advance(99)
    expect(ended).toEqual([])
    await clock.advance(1)
    expect(ended).toEqual(['hasty after 100'])
    wait('late', 50)
    await clock.advance(50)
    expect(ended).toEqual(['hasty after 100', 'late after 50'])
    await clock.advance(150)
    expect(ended).toEqual(['hasty after 100', 'late after 50', 'steady after 300'])
    held.release()
    await clock.advance(0)
    expect(ended.at(-1)).toBe('patient served')
    await pool.dispose()
    expect(clock.pendingTimers).toBe(0)
  })

  it('rejects with the reason of the signal, before the wait or during it, and forgets the caller', async () => {
    const { pool, factory, settle } = setUp()
    await expect(pool.acquire({ signal: AbortSignal.abort(down) })).rejects.toBe(down)
    const controller = new AbortController()
    const waiting = outcomeOf(pool.acquire({ signal: controller.signal }))
    controller.abort(down)
    await settle()
    expect(waiting.error).toBe(down)
    factory.make()
    await settle()
    expect(pool.stats()).toMatchObject({ idle: 1, pending: 0, acquireAborted: 1, acquired: 0 })
  })

  it('refuses callers beyond maxPending, but not those for whom there is room', async () => {
    const { pool, settle } = setUp({ max: 2, maxPending: 1 })
    const inRoom = [pool.acquire(), pool.acquire(), pool.acquire()].map(outcomeOf)
    const beyond = outcomeOf(pool.acquire())
    await settle()
    expect(inRoom).toEqual([{}, {}, {}])
    expect(beyond.error).toMatchObject({ kind: 'rejected', code: 'POOL_SATURATED' })
  })

  it('runs the factory outside the context of the caller, and the caller inside its own', async () => {
    const context = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const { pool } = setUp({
      factory: {
        create: () => {
          seen.push(context.getStore())
          return { id: 1 }
        },
        destroy() {},
      },
    })
    await context.run('caller', async () => {
      await pool.acquire()
      seen.push(context.getStore())
    })
    expect(seen).toEqual([undefined, 'caller'])
  })
})

describe('creations that fail', () => {
  it('reject the oldest caller with the error itself; the others wait for the next attempt', async () => {
    const { pool, factory, clock, settle } = setUp({ max: 1 })
    const oldest = outcomeOf(pool.acquire())
    const next = outcomeOf(pool.acquire())
    factory.fail(down)
    await settle()
    expect(oldest.error).toBe(down)
    expect(next).toEqual({})
    expect(factory.creating).toBe(0)
    await clock.advance(40)
    factory.make()
    await settle()
    expect(next).toHaveProperty('value')
  })

  it('are spaced further and further, one at a time, however many callers wait', async () => {
    const { pool, factory, clock } = setUp({ max: 10, maxCreating: 10, acquireTimeout: '1h' })
    const callers = Array.from({ length: 100 }, () => outcomeOf(pool.acquire()))
    expect(factory.creating).toBe(10)
    for (let i = 0; i < 10; i++) factory.fail(down)
    let attempts = 0
    for (let ms = 0; ms < 10_000; ms += 10) {
      await clock.advance(10)
      expect(factory.creating).toBeLessThanOrEqual(1)
      attempts += factory.creating
      factory.fail(down)
    }
    // 260 ms apart with this jitter, after the first few.
    expect(attempts).toBeGreaterThan(30)
    expect(attempts).toBeLessThan(50)
    expect(callers.filter(caller => caller.error === down)).toHaveLength(10 + attempts)
  })

  it('do not make anything spin when nobody waits', async () => {
    const { pool, factory, clock } = await setUpIdle({ min: 1 })
    await pool.init()
    pool.retire((await pool.use(thing => thing)) as Thing)
    expect(factory.creating).toBe(1)
    let attempts = 0
    for (let ms = 0; ms < 5_000; ms += 10) {
      attempts += factory.creating
      factory.fail(down)
      await clock.advance(10)
    }
    expect(attempts).toBeLessThan(30)
    expect(pool.stats().createFailed).toBe(attempts)
  })

  it('are over with the first success', async () => {
    const { pool, factory, clock, settle } = setUp({ max: 3 })
    outcomeOf(pool.acquire())
    factory.fail(down)
    await settle()
    for (let i = 0; i < 3; i++) outcomeOf(pool.acquire())
    await clock.advance(40)
    expect(factory.creating).toBe(1)
    factory.make()
    await settle()
    expect(factory.creating).toBe(2)
  })

  it('include those that take too long, which free their place', async () => {
    const { pool, factory, clock, settle } = setUp({ max: 1, createTimeout: 100, acquireTimeout: '1h' })
    const caller = outcomeOf(pool.acquire())
    await clock.advance(100)
    expect(caller.error).toMatchObject({ kind: 'timeout', code: 'POOL_CREATE_TIMEOUT', elapsedMs: 100 })
    expect(factory.signals[0]?.aborted).toBe(true)
    expect(pool.stats()).toMatchObject({ creating: 0 })
    factory.make()
    await settle()
    expect(factory.destroyed).toEqual([{ id: 1, reason: 'surplus', force: false }])
  })

  it('include those that throw at once', async () => {
    const { pool } = setUp({
      factory: {
        create: () => {
          throw down
        },
        destroy() {},
      },
    })
    await expect(pool.acquire()).rejects.toBe(down)
  })
})

describe('leases', () => {
  it('end once: a second release or retire is the bug of the caller', async () => {
    const { pool } = await setUpIdle()
    const lease = await pool.acquire()
    lease.release()
    for (const again of [() => lease.release(), () => lease.retire()]) {
      expect(again).toThrow(expect.objectContaining({ kind: 'usage', code: 'POOL_LEASE_RELEASED' }))
    }
    await lease[Symbol.asyncDispose]()
    expect(pool.stats()).toMatchObject({ idle: 1, leased: 0 })
  })

  it('are released by use() whether its function returns or throws', async () => {
    const { pool } = await setUpIdle()
    await expect(pool.use(async thing => thing.id)).resolves.toBe(1)
    await expect(pool.use(() => Promise.reject(down))).rejects.toBe(down)
    expect(pool.stats()).toMatchObject({ idle: 1, leased: 0, acquired: 3 })
  })

  it('that are retired destroy the resource and make room for those who wait', async () => {
    const { pool, factory, settle } = await setUpIdle({ max: 1 })
    const lease = await pool.acquire()
    const waiting = outcomeOf(pool.acquire())
    lease.retire()
    expect(factory.destroyed).toEqual([{ id: 1, reason: 'unhealthy', force: false }])
    factory.make()
    await settle()
    expect(waiting.value).toMatchObject({ value: { id: 2 } })
  })
})

describe('init', () => {
  it('opens min resources and keeps that many open', async () => {
    const { pool, factory, settle } = setUp({ max: 3, min: 2 })
    const ready = outcomeOf(pool.init())
    expect(factory.creating).toBe(2)
    factory.make()
    factory.make()
    await settle()
    expect(ready).toHaveProperty('value')
    expect(pool.stats()).toMatchObject({ idle: 2, leased: 0 })
    ;(await pool.acquire()).retire()
    expect(factory.creating).toBe(1)
  })

  it('rejects with the error of the factory when nothing can be opened, and leaves nothing behind', async () => {
    const { pool, factory, clock } = setUp({ max: 3, min: 2 })
    const ready = outcomeOf(pool.init())
    factory.fail(down)
    factory.fail(new Error('another'))
    await clock.advance(0)
    expect(ready.error).toBe(down)
    expect(pool.stats()).toMatchObject({ idle: 0, leased: 0, creating: 0, pending: 0 })
    expect(clock.pendingTimers).toBe(0)
  })

  it('resolves when at least one could be opened, and goes on trying for the rest', async () => {
    const { pool, factory, clock } = setUp({ max: 3, min: 2 })
    const ready = outcomeOf(pool.init())
    factory.make()
    factory.fail(down)
    await clock.advance(40)
    expect(ready).toHaveProperty('value')
    factory.make()
    await clock.advance(0)
    expect(pool.stats().idle).toBe(2)
  })

  it('gives up when the pool is disposed of meanwhile', async () => {
    const { pool, clock } = setUp()
    const ready = outcomeOf(pool.init())
    const stopped = outcomeOf(pool.dispose({ deadline: 0 }))
    await clock.advance(5_000)
    expect(ready.error).toMatchObject({ code: 'POOL_STOPPING' })
    expect(stopped).toHaveProperty('value')
  })
})

describe('options', () => {
  it.each([
    [{ shed: true }, /shed must be an object, or false/],
    [{ shed: { target: -1 } }, /shed\.target must be a duration/],
    [{ shed: { interval: '2 sec' } }, /shed\.interval must be a duration/],
    [{ shed: { goal: 5 } }, /goal is not an option/],
    [{ maxCreating: 0 }, /maxCreating must be/],
    [{ lifetimeJitter: 1.1 }, /lifetimeJitter must be/],
    [{ leakWarningAfter: -5 }, /leakWarningAfter must be/],
    [{ reclaimLeaked: 'yes' }, /reclaimLeaked must be/],
    [{ factory: { create: () => ({ id: 1 }), destroy() {}, isTransient: true } }, /isTransient must be a function/],
  ])('are refused: %j', (options, message) => {
    expect(() => setUp(options as object)).toThrow(
      expect.objectContaining({ code: 'POOL_OPTIONS_INVALID', message: expect.stringMatching(message) }),
    )
  })

  it('are refused all at once', () => {
    const make = () =>
      new ResourcePool({ max: 0, min: -1, acquireTimeout: '5 sec', maxSize: 3, factory: {} } as unknown as {
        max: number
        factory: ResourceFactory<Thing>
      })
    expect(make).toThrow(
      expect.objectContaining({
        kind: 'usage',
        code: 'POOL_OPTIONS_INVALID',
        message: expect.stringMatching(
          /maxSize is not an option.*max must be.*min must be.*create must be.*destroy must be.*acquireTimeout must be/,
        ),
      }),
    )
  })
})
