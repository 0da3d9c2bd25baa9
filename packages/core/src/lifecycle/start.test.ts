/** Starts that fail, hang, come late, are called off, or are not needed: everything is up in the end, or nothing is. */

import type { StepContext } from '@breakwater/kernel'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  add,
  clock,
  failAfter,
  forgetSeen,
  lifecycle,
  never,
  outcomeOf,
  part,
  seen,
  setStage,
  started,
  untilAborted,
} from './stage.fixture.js'

beforeEach(() => setStage())

describe('a start that fails', () => {
  const chain = ['a', 'b', 'c', 'd', 'e']

  it.each([0, 1, 2, 3, 4])('at component %i of a chain stops exactly those before it, in reverse', async k => {
    chain.forEach((name, i) => {
      const needs = chain.slice(Math.max(0, i - 1), i)
      add(part(name, needs, 10, i === k ? { start: () => failAfter(7, 'boom') } : {}))
    })
    const init = outcomeOf(lifecycle.init())
    await clock.advance(1_000)
    const before = chain.slice(0, k)
    expect(seen).toEqual([
      ...before.flatMap(name => [`${name}+`, `${name}.`]),
      ...before.toReversed().flatMap(name => [`${name}-`, `${name}_`]),
    ])
    expect(init.error).toMatchObject({
      kind: 'failed',
      code: 'INIT_FAILED',
      cause: { message: 'boom' },
      elapsedMs: k * 10 + 7,
    })
    const stopped = k === 0 ? 'nothing had started' : `rolled back: ${before.toReversed().join(', ')}`
    expect(init.error?.message).toBe(`init failed after ${k * 10 + 7} ms; ${chain[k]} (start, 7 ms: Error); ${stopped}`)
    expect(clock.pendingTimers).toBe(0)
  })

  it('aborts its siblings, waits for them, and stops the one that starts all the same', async () => {
    let aborted = 0
    add(
      part('fails', [], 10, { start: () => failAfter(10, 'boom') }),
      part('lets go', [], 10, { start: context => untilAborted(context).finally(() => aborted++) }),
      part('goes on', [], 50),
    )
    const init = outcomeOf(lifecycle.init())
    await clock.advance(49)
    expect(aborted).toBe(1)
    expect(init.settled).toBe(false)
    await clock.advance(51)
    expect(seen).toEqual(['goes on+', 'goes on.', 'goes on-', 'goes on_'])
    expect(init.error?.errors).toEqual([new Error('boom')])
    const outcomes = Object.fromEntries(
      lifecycle.timeline().steps.map(step => [`${step.name} ${step.phase}`, step.outcome]),
    )
    expect(outcomes).toEqual({
      'fails start': 'failed',
      'lets go start': 'aborted',
      'goes on start': 'ok',
      'goes on stop': 'ok',
    })
  })

  it('reports every error: of two that fail, and of a roll-back that fails', async () => {
    add(
      part('base', [], 10, { stop: () => failAfter(5, 'stop of base') }),
      part('x', ['base'], 10, { start: () => failAfter(10, 'x') }),
      part('y', ['base'], 10, { start: () => failAfter(11, 'y') }),
    )
    const init = outcomeOf(lifecycle.init())
    await clock.advance(100)
    expect(init.error?.cause).toEqual(new Error('x'))
    expect(init.error?.errors).toEqual([new Error('x'), new Error('y'), new Error('stop of base')])
    expect(init.error?.failures.map(each => [each.component, each.phase, each.elapsedMs])).toEqual([
      ['x', 'start', 10],
      ['y', 'start', 11],
      ['base', 'stop', 5],
    ])
    expect(init.error?.message).toContain('rolled back: base; roll-back failed: base (stop, 5 ms: Error)')
  })

  it('never quotes the message of somebody else, which may hold a secret', async () => {
    add(part('a', [], 1, { start: () => failAfter(1, 'postgres://me:hunter2@db') }))
    const init = outcomeOf(lifecycle.init())
    await clock.advance(1)
    expect(init.error?.message).not.toContain('hunter2')
  })

  it('in a ready hook drains those that were ready and stops everything', async () => {
    const log = (what: string) => () => void seen.push(what)
    add(
      part('a', [], 1, { ready: log('a ready'), drain: log('a drain') }),
      part('b', ['a'], 1, { ready: () => failAfter(1, 'boom'), drain: log('b drain') }),
    )
    const init = outcomeOf(lifecycle.init())
    await clock.advance(10)
    expect(seen).toEqual(['a+', 'a.', 'b+', 'b.', 'a ready', 'a drain', 'b-', 'b_', 'a-', 'a_'])
    expect(init.error?.failures.map(each => [each.component, each.phase])).toEqual([['b', 'ready']])
  })

  it('is final: a second init() gets the same error, and dispose() has nothing left to do', async () => {
    add(part('a'), part('b', ['a'], 1, { start: () => failAfter(1, 'boom') }))
    const first = outcomeOf(lifecycle.init())
    await clock.advance(100)
    await expect(lifecycle.init()).rejects.toBe(first.error)
    forgetSeen()
    await lifecycle.dispose()
    expect(seen).toEqual([])
  })

  it('stops what was held from construction on, even the part that failed', async () => {
    add(
      part('held', [], 10, { heldFromConstruction: true, start: () => failAfter(1, 'boom') }),
      part('later', ['held'], 10, { heldFromConstruction: true }),
    )
    const init = outcomeOf(lifecycle.init())
    await clock.advance(100)
    expect(seen).toEqual(['later-', 'later_', 'held-', 'held_'])
    expect(init.error?.cause).toEqual(new Error('boom'))
  })
})

describe('a start that hangs', () => {
  it('fails at its time-out, with what the hook then said as the cause', async () => {
    const start = (context: StepContext): Promise<never> =>
      untilAborted(context).catch(() => {
        throw new Error('no route')
      })
    add(part('a', [], 1, { start, startTimeout: '3s' }))
    const init = outcomeOf(lifecycle.init())
    await clock.advance(2_999)
    expect(init.settled).toBe(false)
    await clock.advance(1)
    expect(init.error?.cause).toMatchObject({
      kind: 'timeout',
      code: 'START_TIMEOUT',
      elapsedMs: 3_000,
      cause: { message: 'no route' },
    })
    expect(clock.pendingTimers).toBe(0)
  })

  it('is waited for no longer than 2 s once it is aborted, and named as what cannot be stopped yet', async () => {
    add(part('base'), part('hangs', ['base'], 1, { start: never, startTimeout: 1_000 }))
    const init = outcomeOf(lifecycle.init())
    await clock.advance(60_000)
    expect(init.atMs).toBe(10 + 1_000 + 2_000 + 10)
    expect(init.error?.failures).toMatchObject([
      { component: 'hangs', phase: 'start', open: true, error: { code: 'START_TIMEOUT' } },
      { component: 'hangs', phase: 'stop', open: true, error: { code: 'STOP_POSTPONED' } },
    ])
    expect(seen).toEqual(['base+', 'base.', 'base-', 'base_'])
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(0)
    expect(dispose.error?.message).toContain('still open: hangs')
  })

  it('is stopped when it succeeds after all, once, though nobody waits any more', async () => {
    add(part('late', [], 5_000, { startTimeout: 1_000 }))
    const init = outcomeOf(lifecycle.init())
    await clock.advance(4_999)
    expect(init.error?.code).toBe('INIT_FAILED')
    expect(seen).toEqual(['late+'])
    await clock.advance(10_000)
    expect(seen).toEqual(['late+', 'late.', 'late-', 'late_'])
    await lifecycle.dispose()
    expect(seen).toHaveLength(4)
    expect(clock.pendingTimers).toBe(0)
  })

  it('and succeeds while it is being waited for is stopped with the others', async () => {
    add(part('late', [], 2_000, { startTimeout: 1_000 }))
    const init = outcomeOf(lifecycle.init())
    await clock.advance(10_000)
    expect(seen).toEqual(['late+', 'late.', 'late-', 'late_'])
    expect(init).toMatchObject({ atMs: 4_000, error: { cause: { code: 'START_TIMEOUT' } } })
  })
})

describe('an optional component', () => {
  it('that fails leaves the service ready without it, and is not stopped', async () => {
    add(part('search', [], 1, { optional: true, start: () => failAfter(1, 'boom') }), part('b', ['search']))
    await started()
    expect(lifecycle.health()).toEqual({
      status: 'degraded',
      components: { search: { state: 'degraded', reason: 'Error' }, b: { state: 'started' } },
    })
    await Promise.all([lifecycle.dispose(), clock.advance(10)])
    expect(seen).toEqual(['b-', 'b_'])
  })

  it('that comes after its time-out counts as started, and is stopped', async () => {
    add(part('slow', [], 5_000, { optional: true, startTimeout: 100 }))
    const init = outcomeOf(lifecycle.init())
    await clock.advance(2_100)
    expect(init).toEqual({ settled: true, atMs: 2_100 })
    expect(lifecycle.health().components.slow).toEqual({ state: 'degraded', reason: 'START_TIMEOUT' })
    await clock.advance(2_900)
    expect(lifecycle.health()).toEqual({ status: 'ready', components: { slow: { state: 'started' } } })
    await Promise.all([lifecycle.dispose(), clock.advance(5_000)])
    expect(seen).toEqual(['slow+', 'slow.', 'slow-', 'slow_'])
  })

  it('tells by itself how it is while the service runs', async () => {
    let up = true
    add({ name: 'redis', optional: true, isUp: () => up })
    await started()
    up = false
    expect(lifecycle.health()).toEqual({ status: 'degraded', components: { redis: { state: 'degraded' } } })
  })
})

describe('cancelling the start', () => {
  it('by the caller aborts what starts, stops what had started, and says so', async () => {
    const controller = new AbortController()
    add(part('a'), part('b', ['a'], 10, { start: untilAborted }), part('c', ['b']))
    const init = outcomeOf(lifecycle.init({ signal: controller.signal }))
    await clock.advance(20)
    controller.abort(new Error('no more'))
    await clock.advance(10)
    expect(init).toMatchObject({ atMs: 30, error: { code: 'INIT_CANCELLED', cause: { message: 'no more' } } })
    expect(init.error?.message).toBe('init cancelled after 20 ms; rolled back: a')
    expect(seen).toEqual(['a+', 'a.', 'a-', 'a_'])
  })

  it('before it begins starts nothing', async () => {
    add(part('a'))
    await expect(lifecycle.init({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'INIT_CANCELLED' })
    expect(seen).toEqual([])
  })

  it('after it has succeeded does nothing', async () => {
    const controller = new AbortController()
    add(part('a'))
    const init = lifecycle.init({ signal: controller.signal })
    await clock.advance(10)
    await init
    controller.abort()
    await clock.advance(100)
    expect(lifecycle.health().status).toBe('ready')
    expect(seen).toEqual(['a+', 'a.'])
  })
})
