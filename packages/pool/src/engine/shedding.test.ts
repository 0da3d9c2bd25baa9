/** Overload: who is told at once that waiting will not help, and who is never told so. */

import { describe, expect, it } from 'vitest'
import { outcomeOf, setUpLeased } from '../../test/engine-kit.js'
import { Shedding } from './shedding.js'

interface Arrival {
  readonly everyMs: number
  readonly timeout: number
  readonly count: number
}

/** A pool of one resource that each caller uses for 10 ms, with callers arriving until `forMs` is over. */
async function run(arrivals: readonly Arrival[], forMs: number, options: Parameters<typeof setUpLeased>[1] = {}) {
  const { pool, clock, leases } = await setUpLeased(1, options)
  leases[0]?.release()
  const waits: number[] = []
  const ends: { code: string; afterMs: number; retryAfterMs: number | undefined; timeout: number }[] = []
  const call = async (timeout: number): Promise<void> => {
    const startedAt = clock.now()
    try {
      const lease = await pool.acquire({ timeout })
      waits.push(clock.now() - startedAt)
      clock.schedule(10, () => lease.release())
    } catch (error) {
      const { code, retryAfterMs } = error as { code: string; retryAfterMs?: number }
      ends.push({ code, afterMs: clock.now() - startedAt, retryAfterMs, timeout })
    }
  }
  for (let ms = 0; ms < forMs; ms++) {
    for (const { everyMs, timeout, count } of arrivals) {
      if (ms % everyMs === 0) for (let i = 0; i < count; i++) void call(timeout)
    }
    await clock.advance(1)
  }
  const stop = async (): Promise<void> => {
    void pool.dispose({ deadline: 0 })
    await clock.advance(0)
  }
  return { pool, clock, waits, ends, stop }
}

/** Enough uses for a forecast, with nobody waiting for long. */
const warmUp: Arrival = { everyMs: 20, timeout: 5_000, count: 1 }

describe('a caller who would be too late', () => {
  it('is rejected at once, and told when to come back', async () => {
    const { pool, stop } = await run([warmUp], 2_000)
    // 100 ahead x 10 ms: the next is served after about a second.
    const waiting = Array.from({ length: 101 }, () => pool.acquire().catch(() => undefined))
    await expect(pool.acquire({ timeout: 200 })).rejects.toMatchObject({
      kind: 'rejected',
      code: 'POOL_SATURATED',
      retryable: true,
      retryAfterMs: expect.toSatisfy((ms: number) => ms > 700 && ms < 900),
    })
    expect(pool.stats()).toMatchObject({ acquireRejected: 1, pending: 100 })
    void pool.acquire({ timeout: 600 }).catch(() => undefined)
    expect(pool.stats()).toMatchObject({ acquireRejected: 1, pending: 101 })
    expect(waiting).toHaveLength(101)
    await stop()
  })

  it('is let in while too little is known, while more are being made, and when shedding is off', async () => {
    const few = await run([warmUp], 500)
    const growing = await run([warmUp], 2_000)
    growing.pool.resize({ max: 2 })
    const off = await run([warmUp], 2_000, { shed: false })
    for (const { pool, stop } of [few, growing, off]) {
      for (let i = 0; i < 101; i++) pool.acquire().catch(() => undefined)
      void pool.acquire({ timeout: 200 }).catch(() => undefined)
      expect(pool.stats().acquireRejected).toBe(0)
      await stop()
    }
  })
})

describe('a queue that stays slow', () => {
  it('sheds nobody while everyone is served in time: a burst, or more workers than resources', async () => {
    const { pool, waits, ends, stop } = await run([{ everyMs: 9_999, timeout: 60_000, count: 400 }], 5_000)
    expect(waits).toHaveLength(400)
    expect(Math.max(...waits)).toBeGreaterThan(3_900)
    expect(ends).toEqual([])
    expect(pool.stats().acquireShed).toBe(0)
    await stop()
  })

  it('sheds those who have waited for too long once callers are lost in it, so that the rest is served fresh', async () => {
    // One and a half times what the pool can do.
    const overload = [{ everyMs: 20, timeout: 1_000, count: 3 }]
    const shedding = await run(overload, 12_000)
    const { ends, waits } = shedding
    const shed = ends.filter(({ code, afterMs }) => code === 'POOL_SATURATED' && afterMs > 0)
    expect(shed.length).toBeGreaterThan(100)
    expect(Math.min(...shed.map(({ afterMs }) => afterMs))).toBeGreaterThan(100)
    const late = waits.slice(-100)
    expect(Math.max(...late)).toBeLessThan(150)

    const without = await run(overload, 12_000, { shed: false })
    expect(Math.min(...without.waits.slice(-100))).toBeGreaterThan(900)
    // Nobody is lost for it: as many are served.
    expect(waits.length).toBeGreaterThan(without.waits.length * 0.98)
    for (const { stop } of [shedding, without]) await stop()
  })

  it('gives what is freed to the last caller, however long that one has waited', async () => {
    const { pool, clock, leases, settle } = await setUpLeased(1, { shed: { target: 10, interval: 500 } })
    const [first, patient] = [pool.acquire({ timeout: 9_000 }), pool.acquire({ timeout: 9_000 })]
    const lost = outcomeOf(pool.acquire({ timeout: 1_000 }))
    await clock.advance(800)
    leases[0]?.release()
    await clock.advance(200)
    expect(lost.error).toMatchObject({ code: 'POOL_ACQUIRE_TIMEOUT' })
    const callers = [1, 2, 3].map(() => outcomeOf(pool.acquire({ timeout: 1_000 })))
    await clock.advance(350)
    ;(await first).release()
    ;(await patient).release()
    await settle()
    const shed = { error: { code: 'POOL_SATURATED', message: expect.stringContaining('rejected after 350 ms') } }
    expect(callers).toMatchObject([shed, shed, { value: { value: { id: 1 } } }])
    expect(pool.stats()).toMatchObject({ acquireShed: 2, leased: 1, pending: 0 })
  })

  it('does not shed a caller for the sake of one that was less patient', async () => {
    const batch = { everyMs: 9_999, timeout: 60_000, count: 600 }
    const impatient = { everyMs: 100, timeout: 300, count: 1 }
    const { waits, ends, stop } = await run([batch, impatient], 7_000)
    expect(ends.length).toBeGreaterThan(30)
    expect(ends.every(({ timeout }) => timeout === 300)).toBe(true)
    expect(waits.length).toBeGreaterThanOrEqual(600)
    await stop()
  })

  it('does not shed those who have waited for a server that was away', async () => {
    const { pool, clock, leases } = await setUpLeased(1)
    const first = pool.acquire()
    await clock.advance(60)
    leases[0]?.release()
    const lease = await first
    // Nobody is served for nine seconds, and one is lost.
    const lost = pool.acquire({ timeout: 9_000 }).catch(error => error.code)
    await clock.advance(1_000)
    let served = 0
    const callers = Array.from({ length: 300 }, async () => {
      const own = await pool.acquire({ timeout: 8_500 })
      served++
      clock.schedule(1, () => own.release())
    })
    await clock.advance(8_100)
    lease.release()
    await clock.advance(400)
    await Promise.all(callers)
    expect(await lost).toBe('POOL_ACQUIRE_TIMEOUT')
    expect(served).toBe(300)
    expect(pool.stats().acquireShed).toBe(0)
  })
})

describe('the judgement of a queue', () => {
  /** An interval of 2 s in which `waitsMs` were waited and one with 1 s of patience was lost, and the first serve after it. */
  function after(waitsMs: readonly number[], { lostMs = 1_000, nextAt = 2_000 } = {}): Shedding {
    const shedding = new Shedding({ targetMs: 50, intervalMs: 2_000 })
    for (const waitedMs of waitsMs) shedding.served(waitedMs, 0)
    shedding.lost(lostMs)
    shedding.served(60, nextAt)
    return shedding
  }

  it('falls on those who have waited for more than twice the target, and are no more patient than who was lost', () => {
    const shedding = after([60, 51])
    expect(shedding.isOverdue(101, 1_000)).toBe(true)
    expect(shedding.isOverdue(100, 1_000)).toBe(false)
    expect(shedding.isOverdue(101, 1_001)).toBe(false)
    expect(shedding.isOverdue(101, Number.POSITIVE_INFINITY)).toBe(false)
  })

  it.each([
    ['one was served within the target', after([60, 50])],
    ['nobody was lost', after([60], { lostMs: 0 })],
    ['the interval has not ended', after([60], { nextAt: 1_999 })],
    ['nobody was served for as long again', after([60], { nextAt: 4_000 })],
  ])('falls on nobody when %s', (_, shedding) => {
    expect(shedding.isOverdue(1_000, 1_000)).toBe(false)
  })

  it('ends with the next interval, and with an empty queue', () => {
    const next = after([60])
    next.served(60, 4_000)
    const empty = after([60])
    empty.rested()
    expect([next, empty].map(shedding => shedding.isOverdue(1_000, 1_000))).toEqual([false, false])
    empty.lost(1_000)
    empty.served(60, 4_000)
    expect(empty.isOverdue(1_000, 1_000)).toBe(false)
  })
})
