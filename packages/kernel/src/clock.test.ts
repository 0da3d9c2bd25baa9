import { describe, expect, it } from 'vitest'
import { systemClock } from './clock.js'

describe('systemClock', () => {
  it('calls once after the delay, and not at all once cancelled', async () => {
    const startedAt = systemClock.now()
    const calls: string[] = []
    const cancelled = systemClock.schedule(1, () => calls.push('cancelled'))
    cancelled.cancel()
    await new Promise<void>(resolve => {
      systemClock.schedule(
        5,
        () => {
          calls.push('called')
          resolve()
        },
        { keepAlive: true },
      )
    })
    expect(calls).toEqual(['called'])
    // Node's timers run on a clock of whole milliseconds.
    expect(systemClock.now() - startedAt).toBeGreaterThanOrEqual(4)
  })

  it('does not call at once for a delay longer than Node can keep', async () => {
    let called = false
    const timer = systemClock.schedule(2 ** 40, () => {
      called = true
    })
    // Node would have fired it within a millisecond.
    await new Promise<void>(resolve => void systemClock.schedule(10, resolve, { keepAlive: true }))
    expect(called).toBe(false)
    timer.cancel()
  })

  it('reads coarsely what it reads finely, a little behind', async () => {
    const before = systemClock.coarse()
    expect(systemClock.coarse()).toBe(before)
    expect(systemClock.now()).toBeGreaterThanOrEqual(before)
    await new Promise<void>(resolve => void systemClock.schedule(40, resolve, { keepAlive: true }))
    expect(systemClock.coarse()).toBeGreaterThanOrEqual(before + 20)
  })
})
