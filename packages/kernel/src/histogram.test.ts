/** Durations: where they fall, and what is worked out of them. */

import { describe, expect, it } from 'vitest'
import { DURATION_BOUNDS_MS, Histogram } from './histogram.js'

describe('a histogram', () => {
  it('is empty at first', () => {
    expect(new Histogram().read()).toMatchObject({ count: 0, sumMs: 0, maxMs: 0, p50Ms: 0, p99Ms: 0 })
  })

  it('counts a bound into the bucket below it, and what is beyond all bounds into the last', () => {
    const histogram = new Histogram()
    for (const ms of [0, 1, 1.1, 10_000, 10_001, 1e9]) histogram.record(ms)
    const { buckets, count, maxMs } = histogram.read()
    expect(buckets).toHaveLength(DURATION_BOUNDS_MS.length + 1)
    expect([buckets.slice(0, 2), buckets.slice(-2)]).toEqual([
      [2, 1],
      [1, 2],
    ])
    expect({ count, maxMs }).toEqual({ count: 6, maxMs: 1e9 })
  })

  it('tells percentiles to within a bucket', () => {
    const histogram = new Histogram()
    for (let ms = 1; ms <= 1_000; ms++) histogram.record(ms)
    const { p50Ms, p99Ms, sumMs } = histogram.read()
    expect(p50Ms).toBeCloseTo(500, 0)
    expect(p99Ms).toBeCloseTo(990, 0)
    expect(sumMs).toBe(500_500)
  })

  it('never tells more than the longest', () => {
    const histogram = new Histogram()
    histogram.record(3)
    expect(histogram.read()).toMatchObject({ p50Ms: 2.5, p99Ms: 2.99, maxMs: 3 })
  })
})
