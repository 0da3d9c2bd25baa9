/** What an optional part could not do at the start it does later, behind the service, once and never beside itself. */

import { beforeEach, describe, expect, it } from 'vitest'
import {
  add,
  after,
  clock,
  failAfter,
  lifecycle,
  never,
  outcomeOf,
  part,
  setStage,
  untilAborted,
} from './stage.fixture.js'

let lines: string[]
beforeEach(() => {
  lines = []
  const log = (_: object, message: string): void => void lines.push(message)
  setStage({ info: log, warn: log })
})

/** Fails so many times, then succeeds. */
function failing(times: number): { calls: number; start: () => Promise<void> } {
  const counted = {
    calls: 0,
    start: (): Promise<void> => (++counted.calls <= times ? failAfter(5, 'not yet') : after(5)),
  }
  return counted
}

const stateOf = (name: string): string | undefined => lifecycle.health().components[name]?.state

async function up(): Promise<void> {
  await Promise.all([lifecycle.init(), clock.advance(100)])
}

describe('an optional part that failed', () => {
  it('is started again until it succeeds, at growing intervals, and then made ready', async () => {
    const counted = failing(3)
    let ready = 0
    add(part('a', [], 1, { optional: true, start: counted.start, ready: () => void ready++ }))
    await up()
    expect(lifecycle.health()).toMatchObject({ status: 'degraded', components: { a: { state: 'degraded' } } })
    await clock.advance(1_000)
    expect([counted.calls, ready]).toEqual([2, 0])
    await clock.advance(6_000)
    expect([counted.calls, ready]).toEqual([4, 1])
    expect(lifecycle.health()).toEqual({ status: 'ready', components: { a: { state: 'started' } } })
    expect(lines.filter(line => line.includes('"a" is'))).toEqual([
      expect.stringContaining('still not there'),
      expect.stringContaining('still not there'),
      '"a" is there now',
    ])
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(10)
    expect(dispose).toEqual({ settled: true, atMs: 1 })
    expect(clock.pendingTimers).toBe(0)
  })

  it('leaves no trace in the timeline by being tried again', async () => {
    add(part('a', [], 1, { optional: true, start: () => failAfter(1, 'never') }))
    await up()
    await clock.advance(600_000)
    expect(lifecycle.timeline().steps).toHaveLength(1)
    await Promise.all([lifecycle.dispose(), clock.advance(10)])
  })

  it('is not tried any more when the stop begins, and an attempt under way is called off first', async () => {
    const signals: AbortSignal[] = []
    let calls = 0
    add(
      part('a', [], 1, {
        optional: true,
        start: context => {
          signals.push(context.signal)
          return ++calls === 1 ? failAfter(1, 'no') : untilAborted(context)
        },
      }),
    )
    await up()
    await clock.advance(1_000)
    expect(calls).toBe(2)
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(0)
    expect(dispose).toEqual({ settled: true, atMs: 0 })
    expect(signals[1]?.aborted).toBe(true)
    await clock.advance(60_000)
    expect(calls).toBe(2)
  })

  it('is not called beside itself when it hangs', async () => {
    let calls = 0
    const start = (): Promise<never> => {
      calls++
      return never()
    }
    add(part('a', [], 1, { optional: true, startTimeout: 10, start }))
    await Promise.all([lifecycle.init(), clock.advance(5_000)])
    await clock.advance(600_000)
    expect(calls).toBe(1)
  })

  it('is made ready when its start comes late', async () => {
    let ready = 0
    add(part('a', [], 1, { optional: true, startTimeout: 10, start: () => after(20_000), ready: () => void ready++ }))
    await Promise.all([lifecycle.init(), clock.advance(5_000)])
    expect(stateOf('a')).toBe('degraded')
    await clock.advance(17_000)
    expect([stateOf('a'), ready]).toEqual(['started', 1])
  })
})

it('asks a function once whether a part is enabled', async () => {
  let asked = 0
  add(part('a', [], 1, { enabled: () => ++asked > 1 }))
  await up()
  expect([stateOf('a'), asked]).toEqual(['disabled', 1])
})
