/** How much slower statements have become, beyond chance. */

import { describe, expect, it } from 'vitest'
import { ExecutionTimes } from './execution-times.js'

function record(times: ExecutionTimes, text: string, count: number, ms: (n: number) => number): void {
  for (let n = 0; n < count; n++) times.record(text, ms(n))
}

describe('the slowdown', () => {
  it('is that of each statement against its own least, whatever the mix', () => {
    const times = new ExecutionTimes()
    record(times, 'short', 100, () => 2)
    record(times, 'long', 100, () => 100)
    expect(times.slowdown(0)).toBe(1)
    record(times, 'short', 30, () => 2)
    record(times, 'long', 300, () => 100)
    expect(times.slowdown(0)).toBeLessThan(1.01)
    record(times, 'short', 100, () => 4)
    record(times, 'long', 100, () => 200)
    expect(times.slowdown(0)).toBeCloseTo(2, 1)
  })

  it('is not known before there is evidence, and needs more of it where times differ much', () => {
    const times = new ExecutionTimes()
    record(times, 'steady', 29, () => 10)
    expect(times.slowdown(0)).toBeUndefined()
    record(times, 'steady', 1, () => 10)
    expect(times.slowdown(0)).toBe(1)
    record(times, 'mixed', 60, n => (n % 20 === 0 ? 300 : 10))
    expect(times.slowdown(0)).toBeUndefined()
    record(times, 'mixed', 800, n => (n % 20 === 0 ? 300 : 10))
    expect(times.slowdown(0)).toBe(1)
  })

  it('takes thirty that are short by chance for no proof that all can be', () => {
    const times = new ExecutionTimes()
    const mix = (n: number): number => (n % 20 === 19 ? 300 : 10)
    record(times, 'mixed', 860, mix)
    times.slowdown(0)
    record(times, 'mixed', 30, () => 10)
    times.slowdown(0)
    record(times, 'mixed', 860, mix)
    expect(times.slowdown(0)).toBeLessThan(1.25)
  })

  it('is nothing of what is below a millisecond, which is this process', () => {
    const times = new ExecutionTimes()
    record(times, 'quick', 100, () => 0.01)
    times.slowdown(0)
    record(times, 'quick', 100, () => 0.4)
    expect(times.slowdown(0)).toBe(1)
    record(times, 'quick', 100, () => 3)
    expect(times.slowdown(0)).toBeCloseTo(3, 5)
  })

  it('is that of a shape, whatever literals are in its text, and however long that is', () => {
    const times = new ExecutionTimes()
    const long = `select ${'x, '.repeat(2_000)}`
    for (const ms of [2, 4]) {
      for (let n = 0; n < 100; n++) {
        times.record(`select from users where id = ${n}`, ms)
        times.record(long + n, ms * 10)
      }
      expect(times.slowdown(0)).toBeCloseTo(ms / 2, 5)
    }
  })

  it('is against what was the least for about a day', () => {
    const times = new ExecutionTimes()
    const HOUR = 3_600_000
    record(times, 'grows', 100, () => 10)
    times.slowdown(0)
    record(times, 'grows', 100, () => 20)
    expect(times.slowdown(HOUR)).toBeGreaterThan(1.9)
    record(times, 'grows', 100, () => 20)
    expect(times.slowdown(25 * HOUR)).toBeLessThan(1.1)
  })
})
