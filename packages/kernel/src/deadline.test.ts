import { describe, expect, it } from 'vitest'
import { systemClock } from './clock.js'
import { Deadline, parseDuration } from './deadline.js'

describe('parseDuration', () => {
  it('reads numbers as milliseconds and strings with their unit', () => {
    expect([250, '250ms', '30s', '1.5m', '1h', '7d'].map(parseDuration)).toEqual([
      250, 250, 30_000, 90_000, 3_600_000, 604_800_000,
    ])
  })

  it('refuses what is not a duration', () => {
    for (const bad of [-1, Number.NaN, '30', '-1s', '1 s', 's', '', null, undefined, {}, true]) {
      expect(parseDuration(bad)).toBeUndefined()
    }
  })
})

describe('Deadline', () => {
  it('settles as the work does when that comes first', async () => {
    const deadline = new Deadline(systemClock, 60_000)
    await expect(deadline.race(Promise.resolve(7), () => new Error('late'))).resolves.toBe(7)
    await expect(deadline.race(Promise.reject(new Error('own')), () => new Error('late'))).rejects.toThrow('own')
  })

  it('rejects with what the caller names when it passes first', async () => {
    await expect(new Deadline(systemClock, 1).race(new Promise(() => {}), () => new Error('late'))).rejects.toThrow(
      'late',
    )
  })

  it('rejects with the reason of a signal that is aborted first, before or during', async () => {
    const controller = new AbortController()
    const during = new Deadline(systemClock, 60_000).race(
      new Promise(() => {}),
      () => new Error('late'),
      controller.signal,
    )
    controller.abort(new Error('gone'))
    await expect(during).rejects.toThrow('gone')
    const never = new Deadline(systemClock, Number.POSITIVE_INFINITY)
    await expect(never.race(new Promise(() => {}), () => new Error('late'), controller.signal)).rejects.toThrow('gone')
  })

  it('is never later than the one it was taken from', () => {
    expect(new Deadline(systemClock, 100).within(60_000).remainingMs).toBeLessThanOrEqual(100)
  })
})
