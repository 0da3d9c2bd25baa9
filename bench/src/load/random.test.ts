/** What the seed decides: numbers, ranks and arrivals. */

import { describe, expect, it } from 'vitest'
import { createRandom, evenly } from './random.js'
import { createSchedule } from './schedule.js'
import { createZipf } from './zipf.js'

function draw<T>(count: number, next: () => T): T[] {
  return Array.from({ length: count }, next)
}

describe('createRandom', () => {
  it('gives the same numbers for the same seed and purpose on every machine', () => {
    // Pinned: a change here makes every earlier result a result of another load.
    const numbers = draw(4, createRandom(1, 'pinned')).map(each => each.toFixed(9))
    expect(numbers).toEqual(['0.098412665', '0.287698868', '0.437431186', '0.770086354'])
  })

  it('gives other numbers for another seed and for another purpose', () => {
    const [first, ...others] = [
      createRandom(1, 'a', 'b'),
      createRandom(2, 'a', 'b'),
      createRandom(1, 'ab'),
      createRandom(1),
    ]
    const expected = draw(10, first as () => number)
    for (const other of others) expect(draw(10, other)).not.toEqual(expected)
  })

  it('spreads its numbers evenly over [0, 1)', () => {
    const counts = new Array<number>(10).fill(0)
    const numbers = draw(100_000, createRandom(7))
    expect(numbers.every(number => number >= 0 && number < 1)).toBe(true)
    for (const number of numbers) counts[Math.floor(number * 10)] = (counts[Math.floor(number * 10)] ?? 0) + 1
    // Five standard deviations of a tenth of 100,000.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(475)
  })
})

describe('createZipf', () => {
  it('draws each rank in proportion to 1 / rank^skew', () => {
    const size = 50
    const counts = new Array<number>(size).fill(0)
    for (const rank of draw(200_000, createZipf(size, createRandom(3), 1))) counts[rank] = (counts[rank] ?? 0) + 1
    const total = draw(size, () => 0).reduce((sum, _, rank) => sum + 1 / (rank + 1), 0)
    counts.forEach((count, rank) => {
      const expected = 200_000 / ((rank + 1) * total)
      expect(Math.abs(count - expected)).toBeLessThan(5 * Math.sqrt(expected))
    })
  })

  it('reaches the first and the last rank, and none beyond', () => {
    const ends = [0, 1 - 2 ** -32].map(number => createZipf(1_000, () => number)())
    expect(ends).toEqual([0, 999])
  })
})

describe('createSchedule', () => {
  it('is the same for the same seed, request by request', () => {
    const make = () =>
      createSchedule(500, 1_000, createRandom(5, 'arrivals'), createZipf(1_000, createRandom(5, 'ids')))
    expect(make()).toEqual(make())
  })

  it('spreads Poisson arrivals over the whole duration at the rate asked for', () => {
    const { arrivals, ids } = createSchedule(2_000, 50_000, createRandom(9), () => 1)
    expect(ids).toHaveLength(arrivals.length)
    // Five standard deviations of a Poisson count of 100,000.
    expect(Math.abs(arrivals.length - 100_000)).toBeLessThan(1_600)
    const gaps = arrivals.slice(1).map((at, place) => at - (arrivals[place] ?? 0))
    expect(gaps.every(gap => gap >= 0)).toBe(true)
    expect(arrivals.at(-1)).toBeLessThan(50_000)
    // Of exponential gaps, 1/e are longer than the mean.
    const long = gaps.filter(gap => gap > 0.5).length / gaps.length
    expect(Math.abs(long - Math.exp(-1))).toBeLessThan(0.01)
  })
})

describe('evenly', () => {
  it('takes one from each part in a row of as many, in an order by chance', () => {
    const parts = draw(40, evenly(createRandom(7), 4)).map(each => Math.floor(each * 4))
    for (let at = 0; at < 40; at += 4) expect(new Set(parts.slice(at, at + 4)).size).toBe(4)
    expect(new Set(parts.filter((_, at) => at % 4 === 0)).size).toBeGreaterThan(1)
  })
})
