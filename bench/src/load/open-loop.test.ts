/** That the load is open-loop: nothing that is slow can hide itself. */

import { describe, expect, it } from 'vitest'
import type { Id } from '../data/entity.js'
import { Latencies } from './latency.js'
import { runOpenLoop } from './open-loop.js'
import type { Schedule } from './schedule.js'

/** A request each `gapMs`, asking for 0, 1, 2, ... */
function every(gapMs: number, durationMs: number): Schedule {
  const ids = Array.from({ length: Math.ceil(durationMs / gapMs) }, (_, id) => id)
  return { arrivals: Float64Array.from(ids, id => id * gapMs), ids, durationMs }
}

function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

describe('runOpenLoop', () => {
  it('charges a stall to every request that should have been sent during it', async () => {
    const ask = async (id: Id) => {
      if (id === 10) block(100)
    }
    const outcome = await runOpenLoop(every(1, 100), { ask, check: () => true }, 1_000)
    // Nine of ten requests should have been sent during the stall, the last of them 11 ms before its end.
    const latency = Latencies.decode(outcome.latency).percentiles()
    const lateness = Latencies.decode(outcome.lateness).percentiles()
    expect(latency.p50).toBeGreaterThan(40)
    expect(lateness.p50).toBeGreaterThan(40)
    expect(outcome).toMatchObject({ asked: 100, answered: 100, errors: 0, wrong: 0 })
  })

  it('sends requests on time while earlier ones are still waiting', async () => {
    let waiting = 0
    let mostWaiting = 0
    let open = (): void => {}
    const gate = new Promise<void>(resolve => {
      open = resolve
    })
    const ask = async (id: Id) => {
      mostWaiting = Math.max(mostWaiting, ++waiting)
      if (id === 49) open()
      await gate
    }
    const outcome = await runOpenLoop(every(1, 50), { ask, check: () => true }, 1_000)
    expect(mostWaiting).toBe(50)
    expect(outcome.answered).toBe(50)
  })

  it('counts a rejected request as an error and a refused answer as wrong', async () => {
    const ask = async (id: Id) => {
      if (Number(id) < 3) throw new Error('refused\nsecond line')
      return id
    }
    const check = (id: Id, answer: unknown) => answer === id && id !== 7
    const outcome = await runOpenLoop(every(1, 10), { ask, check }, 1_000)
    expect(outcome).toMatchObject({ asked: 10, answered: 7, errors: 3, wrong: 1, errorMessages: { refused: 3 } })
  })

  it('gives up what is not answered in time, and ignores the answer that comes later', async () => {
    let answerLate = (_: unknown): void => {}
    const late = new Promise(resolve => {
      answerLate = resolve
    })
    const outcome = await runOpenLoop(
      every(1, 3),
      { ask: id => (id === 1 ? late : Promise.resolve()), check: () => true },
      20,
    )
    answerLate(undefined)
    await late
    expect(outcome).toMatchObject({ asked: 3, answered: 2, errors: 1 })
    expect(Object.keys(outcome.errorMessages)).toEqual(['no answer 20 ms after the last arrival'])
    expect(outcome.elapsedMs).toBeGreaterThanOrEqual(20)
  })

  it('takes no longer than the answers do, and reports no less than the duration', async () => {
    const outcome = await runOpenLoop(
      { ...every(1, 5), durationMs: 60_000 },
      { ask: async () => {}, check: () => true },
      60_000,
    )
    expect(outcome.elapsedMs).toBe(60_000)
  })
})

describe('Latencies', () => {
  it('adds up the distributions of several processes without losing the tail', () => {
    const one = new Latencies()
    const two = new Latencies()
    for (let i = 0; i < 999; i++) one.record(2)
    two.record(750)
    const merged = Latencies.merge([one, two].map(each => Latencies.decode(each.encode()))).percentiles()
    expect(merged.p50).toBeCloseTo(2, 2)
    expect(merged.p99).toBeCloseTo(2, 2)
    expect(Math.abs(merged.max - 750)).toBeLessThan(1)
  })
})
