/** How many connections a load needs, against tables and by its properties. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sizePool, staffing } from './size-pool.js'

describe('staffing', () => {
  // Source: Erlang C tables; the first number at which the probability to wait is at most the one asked for.
  it.each([
    [1, 0.05, 4],
    [5, 0.2, 8],
    [10, 0.05, 17],
    [10, 0.5, 12],
    [100, 0.2, 111],
  ])('for %d in use on average, of whose callers %d may wait, is %d', (load, waitRatio, connections) => {
    expect(staffing(load, waitRatio)).toBe(connections)
  })

  it('goes over to the square root without a step', () => {
    const [exact, rooted] = [staffing(10_000), staffing(10_000.001)]
    expect(Math.abs(rooted - exact)).toBeLessThanOrEqual(3)
  })

  it('is more than the load, and grows with it, but less and less', () => {
    const anyLoad = fc.double({ min: 0.01, max: 2_000, noNaN: true })
    fc.assert(
      fc.property(anyLoad, load => {
        expect(staffing(load)).toBeGreaterThan(load)
        expect(staffing(load * 2)).toBeGreaterThanOrEqual(staffing(load))
        expect(staffing(load * 2)).toBeLessThanOrEqual(staffing(load) * 2)
      }),
    )
  })
})

describe('sizePool', () => {
  it('is by Little and Erlang', () => {
    expect(sizePool({ targetQps: 500, holdMs: 20 })).toEqual({ load: 10, need: 17, size: 17, boundBy: 'need' })
  })

  it('needs little for queries that share connections', () => {
    const demand = { targetQps: 500, holdMs: 20, depth: 10 }
    expect(sizePool({ ...demand, singleRatio: 1 })).toMatchObject({ need: 1 })
    expect(sizePool({ ...demand, singleRatio: 0.5 })).toMatchObject({ need: 0.5 + staffing(5) + 0.5 })
  })

  it.each([
    [{ max: 5 }, 5, 'max'],
    [{ min: 30 }, 30, 'min'],
    [{ share: 4, max: 5 }, 4, 'share'],
    [{ database: 3, share: 4, max: 5, min: 10 }, 3, 'database'],
    [{ min: 1, max: 100, share: 50, database: 20 }, 17, 'need'],
  ])('is bounded by %j', (bounds, size, boundBy) => {
    expect(sizePool({ targetQps: 500, holdMs: 20 }, bounds)).toMatchObject({ size, boundBy })
  })

  it('names all that is wrong at once', () => {
    const wrong = { targetQps: -1, holdMs: '20', waitRatio: 0, depth: 0.5, singleRatio: 2, qps: 5 }
    expect(() => sizePool(wrong as never, { max: 0, size: 3 } as never)).toThrow(
      /qps .*targetQps .*holdMs .*waitRatio .*depth .*singleRatio .*size .*max /,
    )
  })
})
