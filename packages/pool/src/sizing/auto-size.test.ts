/** The size that a pool finds, in a model of callers, connections and a database, with a seed. */

import { describe, expect, it } from 'vitest'
import { AutoSize, type AutoSizeDerivation } from './auto-size.js'
import { ExecutionTimes } from './execution-times.js'
import { staffing } from './size-pool.js'

interface Model {
  /** Callers a second who come by chance, at an instant in ms; or callers who ask again as soon as they are answered. */
  readonly qps?: (at: number) => number
  readonly callers?: number
  /** Ms of one use, for a number between 0 and 1. */
  readonly holdMs: (chance: number) => number
  /** Statements that the database runs without one slowing another. */
  readonly parallel?: number
  readonly seconds: number
}

interface Found extends AutoSizeDerivation {
  /** The size at the end of each step of 100 ms. */
  readonly sizes: readonly number[]
  /** Answers a second in the last half of the time. */
  readonly rate: number
}

/** Runs the model in steps of 1 ms, with the size that the pool finds, or with a fixed one. */
function run(model: Model, fixed?: number): Found {
  const random = seeded(7)
  const auto = new AutoSize(0.05, { min: 1, max: 100 })
  const sizes: number[] = []
  let size = fixed ?? 1
  let pending = model.callers ?? 0
  const times = new ExecutionTimes()
  let running: { left: number; since: number }[] = []
  let [uses, usedMs, late] = [0, 0, 0]
  for (let at = 0; at < model.seconds * 1_000; at++) {
    if (random() < (model.qps?.(at) ?? 0) / 1_000) pending++
    while (pending > 0 && running.length < size) {
      pending--
      running.push({ left: model.holdMs(random()), since: at })
    }
    const waiting = pending
    const speed = Math.min(1, (model.parallel ?? Number.POSITIVE_INFINITY) / running.length)
    usedMs += running.length
    const before = running.length
    running = running.filter(each => {
      each.left -= speed
      if (each.left <= 0) times.record('statement', at + 1 - each.since)
      return each.left > 0
    })
    const ended = before - running.length
    uses += ended
    if (at > model.seconds * 500) late += ended
    if (model.callers !== undefined) pending += ended
    if (fixed !== undefined || at % 25 !== 0) continue
    const sample = { at, inUse: before, pending: waiting, uses, usedMs }
    if (!auto.see(sample)) continue
    size = auto.step(sample, times.slowdown(), { min: 1, max: 100 }).size
    sizes.push(size)
  }
  return { ...auto.derivation, sizes, rate: late / (model.seconds / 2) }
}

function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

const byChance = (meanMs: number) => (chance: number) => -meanMs * Math.log(chance)

/** The smallest size with which as much is answered as with any, to 3 %. */
function bestOf(model: Model, upTo: number): number {
  const rates = Array.from({ length: upTo }, (_, at) => run(model, at + 1).rate)
  const most = Math.max(...rates)
  return 1 + rates.findIndex(rate => rate >= most * 0.97)
}

describe('the size that is found', () => {
  it.each([
    ['short uses', 400, byChance(10)],
    ['long uses', 40, byChance(250)],
    ['a mix of both', 200, (chance: number) => byChance(chance < 0.05 ? 400 : 20)((chance * 997) % 1)],
  ])('is what Erlang asks for, to a quarter: %s', (_, qps, holdMs) => {
    const { size, load } = run({ qps: () => qps, holdMs, seconds: 60 })
    const need = staffing(load)
    expect(Math.abs(size - need)).toBeLessThanOrEqual(Math.max(1, need * 0.25))
  })

  it('is not more than callers ask for at one time', () => {
    expect(run({ callers: 10, holdMs: byChance(10), seconds: 10 }).size).toBe(10)
  })

  it('is reached from one within a second of a step in load', () => {
    const { sizes } = run({ qps: at => (at < 2_000 ? 5 : 800), holdMs: byChance(15), seconds: 3.5 })
    expect(sizes[19]).toBeLessThanOrEqual(3)
    expect(sizes[29]).toBeGreaterThanOrEqual(12)
  })

  it('does not follow each wave down, but does when the load has gone', () => {
    const { sizes } = run({ qps: at => (at < 10_000 ? 400 : 20), holdMs: byChance(20), seconds: 60 })
    expect(sizes[110]).toBe(sizes[99])
    expect(sizes.at(-1)).toBeLessThanOrEqual(4)
    const turns = sizes.slice(30, 99).filter((size, at, all) => at > 0 && size < (all[at - 1] as number))
    expect(turns.length).toBeLessThanOrEqual(3)
  })

  it.each([2, 4, 8])('stops where more only slow each other: %d that run at one time', parallel => {
    const model: Model = { callers: 50, holdMs: () => 8, parallel, seconds: 10 }
    const best = bestOf(model, 20)
    expect(best).toBe(parallel)
    const found = run(model)
    expect(Math.abs(found.size - best)).toBeLessThanOrEqual(Math.max(1, best * 0.2))
    expect(found.boundBy).toBe('database')
  })
})
