/** The size that a pool finds, in a model of callers, connections and a database, with a seed. */

import { describe, expect, it } from 'vitest'
import { AutoSize, type AutoSizeDerivation } from './auto-size.js'
import { ExecutionTimes } from './execution-times.js'
import { staffing } from './size-pool.js'

interface Model {
  /** Callers a second who come by chance, at an instant in ms; or callers who ask again as soon as they are answered. */
  readonly qps?: (at: number) => number
  readonly callers?: number
  /** More of those, from an instant in ms on. */
  readonly more?: { readonly at: number; readonly callers: number }
  /** Ms of one use, for a number between 0 and 1. */
  readonly holdMs: (chance: number) => number
  /** Statements that the database runs without one slowing another, at an instant in ms. */
  readonly parallel?: number | ((at: number) => number)
  /** The text of a use that ends at an instant in ms. */
  readonly text?: (at: number) => string
  /** How much faster it is than usual, at an instant in ms, for reasons that have nothing to do with the pool. */
  readonly speed?: (at: number) => number
  /** Whether the process, or the server, stands still at an instant in ms. */
  readonly stop?: (at: number) => 'process' | 'server' | undefined
  readonly min?: number
  readonly seconds: number
  readonly seed?: number
}

interface Found extends AutoSizeDerivation {
  /** The size at the end of each step of 100 ms. */
  readonly sizes: readonly number[]
  /** Answers a second in the last half of the time. */
  readonly rate: number
}

/** A pool that is not used is not looked at after this time. */
const REST_MS = 2_000

/** Runs the model in steps of 1 ms, with the size that the pool finds, or with a fixed one. */
function run(model: Model, fixed?: number): Found {
  const random = seeded(model.seed ?? 7)
  const bounds = { min: model.min ?? 1, max: 100 }
  const auto = new AutoSize(0.05, bounds)
  const sizes: number[] = []
  let size = fixed ?? bounds.min
  let pending = model.callers ?? 0
  const times = new ExecutionTimes()
  let running: { left: number; since: number }[] = []
  let [uses, usedMs, late] = [0, 0, 0]
  let [unread, lookAt, usedAt] = [0, 0, -REST_MS]
  for (let at = 0; at < model.seconds * 1_000; at++) {
    const stopped = model.stop?.(at)
    if (random() < (model.qps?.(at) ?? 0) / 1_000) unread++
    if (stopped === 'process') {
      for (const each of running) each.left--
      continue
    }
    pending += unread
    unread = 0
    if (at === model.more?.at) pending += model.more.callers
    while (pending > 0 && running.length < size) {
      pending--
      running.push({ left: model.holdMs(random()), since: at })
    }
    const waiting = pending
    const full = stopped === 'server' ? 0 : (model.speed?.(at) ?? 1)
    const { parallel = Number.POSITIVE_INFINITY } = model
    const speed = full * Math.min(1, (typeof parallel === 'number' ? parallel : parallel(at)) / running.length)
    const before = running.length
    running = running.filter(each => {
      each.left -= speed
      if (each.left <= 0) {
        usedMs += at + 1 - each.since
        times.record(model.text?.(at) ?? 'statement', at + 1 - each.since)
      }
      return each.left > 0
    })
    const ended = before - running.length
    uses += ended
    if (at > model.seconds * 500) late += ended
    if (model.callers !== undefined) pending += ended
    const isUsed = before > 0 || waiting > 0
    if (isUsed && at - usedAt >= REST_MS) lookAt = at + 25
    if (isUsed) usedAt = at
    if (fixed !== undefined || at < lookAt || at - usedAt >= REST_MS) continue
    lookAt = at + 25
    const glance = { at, alone: before, shared: 0, pending: waiting }
    if (!auto.see(glance)) continue
    size = auto.step(glance, { uses, usedMs, sharedMs: 0 }, times.slowdown(at), bounds).size
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

/** Callers who share: what one connection's server can do in a ms, and how much of it is asked for in each ms. */
function share(asked: (at: number) => number, seconds: number): number[] {
  const auto = new AutoSize(0.05, { min: 1, max: 100 })
  const sizes: number[] = []
  let [size, sharedMs, backlogMs] = [1, 0, 0]
  for (let at = 0; at < seconds * 1_000; at++) {
    // In a loop: what is not done is still there, but no more of it comes.
    backlogMs = Math.min(50, backlogMs + asked(at))
    const done = Math.min(size, backlogMs)
    backlogMs -= done
    sharedMs += done
    if (at % 25 !== 0) continue
    const glance = { at, alone: 0, shared: Math.min(size, Math.ceil(asked(at))), pending: 0 }
    if (!auto.see(glance)) continue
    size = auto.step(glance, { uses: 0, usedMs: 0, sharedMs }, undefined, { min: 1, max: 100 }).size
    sizes.push(size)
  }
  return sizes
}

describe('the size for callers who share connections', () => {
  it.each([
    [0.6, 1],
    [0.9, 2],
    [3.5, 5],
  ])('leaves their servers room for chance: %d of them are at work, %d are there', (atWork, connections) => {
    expect(share(() => atWork, 20).at(-1)).toBe(connections)
  })

  it('is reached from one within a second of a step in load, and left when that has gone', () => {
    const sizes = share(at => (at < 2_000 ? 0.1 : at < 10_000 ? 5 : 0.1), 40)
    expect(sizes[18]).toBe(1)
    expect(sizes[29]).toBeGreaterThanOrEqual(7)
    expect(sizes.at(-1)).toBe(1)
  })
})

describe('the size that is found', () => {
  it.each([
    ['short uses', 400, byChance(10)],
    ['long uses', 40, byChance(250)],
    ['a mix of both', 200, (chance: number) => byChance(chance < 0.05 ? 400 : 20)((chance * 997) % 1)],
  ])('is what Erlang asks for, to a fifth: %s', (_, qps, holdMs) => {
    const { size, load } = run({ qps: () => qps, holdMs, seconds: 60 })
    const need = staffing(load)
    expect(Math.abs(size - need)).toBeLessThanOrEqual(Math.max(1, need * 0.2))
  })

  it('is not more than callers ask for at one time', () => {
    expect(run({ callers: 10, holdMs: byChance(10), seconds: 10 }).size).toBe(10)
  })

  it('is reached from one within a second of a step in load', () => {
    const { sizes } = run({ qps: at => (at < 2_000 ? 5 : 900), holdMs: byChance(25), seconds: 3.5 })
    expect(sizes[19]).toBeLessThanOrEqual(3)
    expect(sizes[29]).toBeGreaterThanOrEqual(21)
  })

  it.each([0.75, 0.7, 0.65])(
    'is not held at one or two by statements that take longer since the step, to %d of their speed',
    slow => {
      const speed = (at: number): number => (at < 2_000 ? 1 : slow)
      const { sizes } = run({ qps: at => (at < 2_000 ? 60 : 400), holdMs: byChance(10), speed, seconds: 3.5 })
      expect(sizes[29]).toBeGreaterThanOrEqual(8)
    },
  )

  it.each([20, 50])('is reached within little more than that where each of %d callers asks again at once', callers => {
    const { sizes } = run({ callers: 1, more: { at: 2_000, callers: callers - 1 }, holdMs: () => 8, seconds: 4 })
    expect(sizes[18]).toBe(1)
    expect(sizes[32]).toBeGreaterThanOrEqual(callers * 0.8)
  })

  it('is reached as soon after a rest', () => {
    for (let rests = 5_000; rests < 5_100; rests += 5) {
      const qps = (at: number): number => (at < rests ? 50 : at < 60_000 ? 0 : 1_000)
      const { sizes } = run({ qps, holdMs: () => 20, seconds: 61.5 })
      // It was not looked at for most of the time.
      expect(sizes.length).toBeLessThan(100)
      expect(sizes.at(-1)).toBeGreaterThanOrEqual(25)
      expect(sizes.at(-5)).toBeGreaterThanOrEqual(20)
    }
  })

  it('grows for uses of which none has ended yet, too', () => {
    const { sizes } = run({ qps: at => (at < 2_000 ? 0 : 40), holdMs: () => 3_000, seconds: 4 })
    expect(sizes.at(-1)).toBeGreaterThanOrEqual(8)
  })

  it('does not follow each wave down, but does when the load has gone', () => {
    const { sizes } = run({ qps: at => (at < 20_000 ? 400 : 20), holdMs: byChance(20), seconds: 70 })
    expect(sizes[210]).toBe(sizes[199])
    expect(sizes.at(-1)).toBeLessThanOrEqual(4)
    // What it was too large by at first is gone by then.
    const turns = sizes.slice(120, 200).filter((size, at, all) => at > 0 && size !== all[at - 1])
    expect(turns.length).toBeLessThanOrEqual(3)
  })

  it.each([
    ['process', 2_000, 150, 12],
    ['server', 2_000, 150, 12],
    ['server', 5_000, 400, 16],
  ] as const)('is not larger where the %s stands still each %d ms for %d', (which, everyMs, ms, most) => {
    const stop = (at: number) => (at % everyMs >= everyMs - ms ? which : undefined)
    const { sizes } = run({ qps: () => 400, holdMs: byChance(10), stop, seconds: 30 })
    expect(Math.max(...sizes.slice(100))).toBeLessThanOrEqual(most)
  })

  it('is not smaller for statements that were slow for a moment', () => {
    const speed = (at: number) => (at % 1_000 > 900 ? 0.1 : 1)
    const { sizes } = run({ callers: 10, holdMs: byChance(10), speed, seconds: 30 })
    expect(Math.min(...sizes.slice(20))).toBe(10)
  })

  it.each([
    ['for good', () => 0.4],
    ['now and then', (at: number) => (at % 4_000 < 1_500 ? 0.4 : 1)],
  ])('is not smaller for a server that is slow %s, whatever the size of the pool', (_, speed) => {
    const slow = { qps: () => 400, holdMs: byChance(10), seconds: 60 }
    const found = run({ ...slow, speed: at => (at < 10_000 ? 1 : speed(at)) })
    expect(found.rate).toBeGreaterThan(380)
    expect(Math.min(...found.sizes.slice(150))).toBeGreaterThanOrEqual(7)
  })

  it('is soon as large as that needs', () => {
    const back = Array.from({ length: 15 }, (_, seed) => {
      const speed = (at: number): number => (at < 10_000 ? 1 : 0.4)
      const { sizes } = run({ qps: () => 400, holdMs: byChance(10), speed, seconds: 25, seed: seed + 1 })
      return sizes.findIndex((size, at) => at >= 100 && size >= 15)
    })
    expect(back).not.toContain(-1)
    expect(medianOf(back)).toBeLessThan(155)
  })

  it('is not smaller on a machine that has more and less time for the database by turns', () => {
    let [looks, smaller] = [0, 0]
    for (let seed = 1; seed <= 20; seed++) {
      const chance = seeded(seed)
      const speeds = Array.from({ length: 300 }, () => 0.3 + 0.7 * chance())
      const speed = (at: number): number => speeds[Math.floor(at / 200)] ?? 1
      const sizes = run({ callers: 20, holdMs: () => 8, speed, seconds: 60 }).sizes.slice(50)
      if (seed <= 5) expect([...sizes].sort((a, b) => a - b)[sizes.length >> 2]).toBeGreaterThanOrEqual(18)
      looks += sizes.length
      smaller += sizes.filter(size => size < 18).length
    }
    // A trial now and then.
    expect(smaller / looks).toBeLessThan(0.13)
  })

  it('is not held at one for a single connection that was slow by itself', () => {
    const more = { at: 6_000, callers: 19 }
    expect(run({ callers: 1, more, holdMs: () => 2, speed: at => (at < 3_000 ? 1 : 0.4), seconds: 10 }).size).toBe(20)
  })

  it('is looked for again after a trial that something else has misled', () => {
    const speed = (at: number): number => Math.max(0.25, 1 - Math.max(0, at - 500) / 3_000)
    const { sizes, rate } = run({ callers: 50, holdMs: () => 8, parallel: 2, speed, seconds: 120 })
    expect(Math.max(...sizes.slice(50, 150))).toBeGreaterThan(6)
    expect(Math.max(...sizes.slice(700))).toBeLessThanOrEqual(4)
    // And is not doubted each time that one more is tried.
    expect(rate).toBeGreaterThan(0.9 * ((2 * 0.25) / 0.008))
  })

  it('is doubted where a trial was misled by a moment', () => {
    const speed = (at: number): number => (at > 700 && at < 1_500 ? 0.6 : 1)
    const { sizes } = run({ callers: 20, holdMs: () => 8, parallel: 2, speed, seconds: 60 })
    expect(Math.max(...sizes.slice(-100))).toBeLessThanOrEqual(3)
  })

  it('is not held at the least by a trial that could not be made', () => {
    const speed = (at: number): number => (at > 5_000 && at < 8_000 ? 0.4 : 1)
    const more = { at: 9_000, callers: 30 }
    const { sizes } = run({ callers: 10, more, min: 10, holdMs: () => 8, speed, seconds: 10.5 })
    expect(sizes[85]).toBe(10)
    expect(sizes.at(-1)).toBeGreaterThanOrEqual(30)
  })

  it('is tried larger again, also where from any moment on no statement comes often enough to be judged', () => {
    // In the middle of a trial, and between them.
    for (let until = 7_000; until < 12_000; until += 100) {
      const parallel = (at: number) => (at < until ? 2 : 20)
      const text = (at: number) => (at < until ? 'statement' : `select from table_${at % 5_000}`)
      const { sizes } = run({ callers: 20, holdMs: () => 8, parallel, text, seconds: 50 })
      expect(sizes[until / 100 - 5]).toBeLessThanOrEqual(4)
      expect(sizes.at(-1)).toBe(20)
    }
  })

  it.each([2, 4, 8])('stops where more only slow each other: %d that run at one time', parallel => {
    const model: Model = { callers: 50, holdMs: () => 8, parallel, seconds: 10 }
    const best = bestOf(model, 20)
    expect(best).toBe(parallel)
    const found = run(model)
    expect(Math.abs(found.size - best)).toBeLessThanOrEqual(Math.max(1, best * 0.2))
    expect(found.boundBy).toBe('database')
  })

  it.each([2, 4, 8])('stays there for long, also for uses of any length: %d', parallel => {
    const found = [1, 2, 3, 4, 5].map(seed => {
      const { sizes } = run({ callers: 50, holdMs: byChance(8), parallel, seconds: 240, seed })
      return medianOf(sizes.slice(-1_200))
    })
    expect(medianOf(found)).toBeLessThanOrEqual(parallel * 2.5)
  })
})

function medianOf(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}
