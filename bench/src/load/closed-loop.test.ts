/** That callers of a closed loop wait for their answers, and that every answer is counted for what it is. */

import { describe, expect, it } from 'vitest'
import type { Id } from '../data/entity.js'
import { type ClosedLoad, runClosedLoop } from './closed-loop.js'
import { Latencies } from './latency.js'

const PATIENCE_MS = 1_000

/** Ids 1, 2, 3, ... */
function load(callers: number, durationMs: number): ClosedLoad {
  let last = 0
  return { callers, durationMs, nextId: () => ++last }
}

function answerLater<V>(value: V): Promise<V> {
  return new Promise(resolve => setImmediate(resolve, value))
}

describe('runClosedLoop', () => {
  it('keeps as many questions under way as there are callers, and no more', async () => {
    let underWay = 0
    let most = 0
    const ask = async (id: Id) => {
      most = Math.max(most, ++underWay)
      await answerLater(id)
      underWay--
    }
    const outcome = await runClosedLoop(load(7, 30), { ask, check: () => true }, PATIENCE_MS)
    expect(most).toBe(7)
    expect(underWay).toBe(0)
    expect(outcome.answered).toBeGreaterThan(7)
  })

  it('counts right answers, wrong ones and errors, and asks for each id once', async () => {
    const asked: Id[] = []
    const ask = async (id: Id) => {
      asked.push(id)
      await answerLater(id)
      if (Number(id) % 5 === 0) throw new Error('refused\nsecond line')
      return id
    }
    const check = (id: Id, answer: unknown) => answer === id && Number(id) % 5 !== 1
    const outcome = await runClosedLoop(load(3, 30), { ask, check }, PATIENCE_MS)
    const { answered, wrong, errors, errorMessages } = outcome
    expect(new Set(asked).size).toBe(asked.length)
    expect(answered + errors).toBe(asked.length)
    expect(errors).toBe(asked.filter(id => Number(id) % 5 === 0).length)
    expect(wrong).toBe(asked.filter(id => Number(id) % 5 === 1).length)
    expect(errorMessages).toEqual({ refused: errors })
  })

  it('measures each answer, and no longer than to the last one', async () => {
    let [firstAt, lastAt] = [0, 0]
    const ask = async (id: Id) => {
      firstAt ||= performance.now()
      await new Promise(resolve => setTimeout(resolve, 20))
      lastAt = performance.now()
      return id
    }
    const startedAt = performance.now()
    const { answered, elapsedMs, latency } = await runClosedLoop(load(2, 300), { ask, check: () => true }, 60_000)
    const { p50, max } = Latencies.decode(latency).percentiles()
    expect(answered).toBeGreaterThanOrEqual(4)
    expect(p50).toBeGreaterThanOrEqual(19)
    expect(elapsedMs).toBeGreaterThanOrEqual(300)
    expect(elapsedMs).toBeLessThanOrEqual(performance.now() - startedAt)
    expect(firstAt + elapsedMs).toBeGreaterThanOrEqual(lastAt)
    // Of several answers in a row none can have taken all the time.
    expect(max).toBeLessThan(elapsedMs)
  })

  it('gives up what is not answered in time', async () => {
    const ask = async (id: Id) => (id === 2 ? new Promise(() => {}) : answerLater(id))
    const outcome = await runClosedLoop(load(2, 10), { ask, check: () => true }, 20)
    expect(outcome).toMatchObject({ errors: 1, errorMessages: { 'no answer 20 ms after the load': 1 } })
    expect(outcome.answered).toBeGreaterThan(0)
  })
})
