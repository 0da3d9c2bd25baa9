/** The promises of the lifecycle's lead essay, one by one, on a clock that the test moves. */

import { BreakwaterError, type StepContext } from '@breakwater/kernel'
import { FakeClock } from '@breakwater/testkit'
import { beforeEach, describe, expect, it } from 'vitest'
import type { BuiltInComponent, Component } from './component.js'
import type { LifecycleError } from './failure.js'
import { Lifecycle } from './lifecycle.js'

let clock: FakeClock
let lifecycle: Lifecycle
/** What happened, in order: `a+` began a step of the way up, `a.` ended it; `a-` and `a_` for the way down. */
let seen: string[]

beforeEach(() => {
  clock = new FakeClock()
  lifecycle = new Lifecycle(clock)
  seen = []
})

const after = (ms: number): Promise<void> => new Promise(resolve => clock.schedule(ms, resolve))
const failAfter = async (ms: number, message: string): Promise<never> => {
  await after(ms)
  throw new Error(message)
}
const never = (): Promise<never> => new Promise(() => {})
const untilAborted = ({ signal }: StepContext): Promise<never> =>
  new Promise((_, reject) => {
    const letGo = (): void => reject(signal.reason)
    if (signal.aborted) letGo()
    else signal.addEventListener('abort', letGo)
  })

/** A component whose start and stop take `ms` and are seen. */
function part(name: string, dependsOn: string[] = [], ms = 10, rest: Partial<BuiltInComponent> = {}): BuiltInComponent {
  return {
    name,
    dependsOn,
    start: async () => {
      seen.push(`${name}+`)
      await after(ms)
      seen.push(`${name}.`)
    },
    stop: async () => {
      seen.push(`${name}-`)
      await after(ms)
      seen.push(`${name}_`)
    },
    ...rest,
  }
}

/** Takes what a promise comes to, as it comes to it. */
function outcomeOf(promise: Promise<unknown>): { error?: LifecycleError; settled: boolean; atMs?: number } {
  const outcome: { error?: LifecycleError; settled: boolean; atMs?: number } = { settled: false }
  const begun = clock.now()
  const settle = (error?: LifecycleError): void => {
    Object.assign(outcome, { settled: true, atMs: clock.now() - begun, ...(error && { error }) })
  }
  promise.then(() => settle(), settle)
  return outcome
}

function add(...components: BuiltInComponent[]): void {
  for (const each of components) lifecycle.add(each)
}

async function started(): Promise<void> {
  const init = outcomeOf(lifecycle.init())
  await clock.advance(1_000)
  expect(init).toMatchObject({ settled: true })
  expect(init.error).toBeUndefined()
  seen = []
}

describe('the order', () => {
  it('starts a level in parallel and the next when the whole level is up, and stops in reverse', async () => {
    add(part('c', ['a', 'b']), part('a', [], 10), part('b', [], 30))
    const init = outcomeOf(lifecycle.init())
    await clock.advance(0)
    expect(seen).toEqual(['a+', 'b+'])
    await clock.advance(29)
    expect(seen).toEqual(['a+', 'b+', 'a.'])
    await clock.advance(11)
    expect(seen).toEqual(['a+', 'b+', 'a.', 'b.', 'c+', 'c.'])
    expect(init.settled).toBe(true)

    seen = []
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(40)
    expect(seen).toEqual(['c-', 'c_', 'a-', 'b-', 'a_', 'b_'])
    expect(dispose).toEqual({ settled: true, atMs: 40 })
    expect(clock.pendingTimers).toBe(0)
  })

  it('takes work in when all have started, and ends it before any stops', async () => {
    const log = (what: string) => () => void seen.push(what)
    add(
      part('db', [], 5, { ready: log('db ready'), drain: log('db drain') }),
      part('http', ['db'], 5, { ready: log('http ready'), drain: log('http drain') }),
    )
    void lifecycle.init()
    await clock.advance(10)
    expect(seen).toEqual(['db+', 'db.', 'http+', 'http.', 'db ready', 'http ready'])
    seen = []
    void lifecycle.dispose()
    await clock.advance(10)
    expect(seen).toEqual(['http drain', 'db drain', 'http-', 'http_', 'db-', 'db_'])
  })

  it('stops a part before those that it is to stop before, though it does not need them', async () => {
    add(part('postgres'), part('redis', [], 10, { stopsBefore: ['postgres'] }))
    await started()
    void lifecycle.dispose()
    await clock.advance(20)
    expect(seen).toEqual(['redis-', 'redis_', 'postgres-', 'postgres_'])
  })

  it('calls no hook of a component that is not enabled, and starts those that depend on it', async () => {
    add(part('a', [], 10, { enabled: false }), part('b', ['a']))
    await started()
    expect(lifecycle.health().components.a).toEqual({ state: 'disabled' })
    expect(lifecycle.timeline().steps.map(step => [step.name, step.outcome])).toEqual([
      ['a', 'skipped'],
      ['b', 'ok'],
    ])
    await Promise.all([lifecycle.dispose(), clock.advance(10)])
    expect(seen).toEqual(['b-', 'b_'])
  })
})

describe('bad components', () => {
  it.each([
    [
      'a cycle, with its path',
      [part('a', ['c']), part('b', ['a']), part('c', ['b']), part('d', ['a'])],
      ['a -> c -> b -> a is a cycle'],
    ],
    ['one that needs itself', [part('a', ['a'])], ['a -> a is a cycle']],
    [
      'two cycles',
      [part('a', ['b']), part('b', ['a']), part('x', ['y', 'a']), part('y', ['x'])],
      ['a -> b -> a', 'x -> y -> x'],
    ],
    [
      'a name that is not there',
      [part('a', ['postgre']), part('postgres')],
      ['"a" depends on "postgre"', 'there are: a, postgres'],
    ],
    ['a name taken twice', [part('a'), part('a')], ['"a" is the name of two components']],
    [
      'every bad option',
      [
        part('a', [], 1, { startTimeout: '10' as never }),
        part('b', [], 1, { stop: 1 as never, stratTimeout: 1 } as never),
      ],
      ['"a": startTimeout', '"b": stop must be a function', '"b": stratTimeout is not an option'],
    ],
    ['a missing name and a cycle together', [part('a', ['nobody']), part('b', ['b'])], ['"nobody"', 'b -> b']],
  ])('are refused before anything starts: %s', async (_, components, messages) => {
    add(...components)
    const error = await lifecycle.init().catch((thrown: BreakwaterError) => thrown)
    expect(error).toMatchObject({ kind: 'usage', code: 'COMPONENTS_INVALID' })
    for (const message of messages) expect((error as Error).message).toContain(message)
    expect(seen).toEqual([])
    await lifecycle.dispose()
  })

  it('may be a class that keeps its state beside the options', async () => {
    class Server implements Component {
      readonly name = 'server'
      listening = false
      start(): void {
        this.listening = true
      }
    }
    const server = new Server()
    add(server)
    await lifecycle.init()
    expect(server.listening).toBe(true)
  })
})

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
    seen = []
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

describe('the stop', () => {
  it('goes on past a hook that fails, and reports every error', async () => {
    add(
      part('a', [], 1, { stop: () => failAfter(1, 'a') }),
      part('b', ['a']),
      part('c', ['b'], 1, { stop: () => failAfter(1, 'c') }),
    )
    await started()
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(100)
    expect(seen).toEqual(['b-', 'b_'])
    expect(dispose.error).toMatchObject({
      kind: 'failed',
      code: 'DISPOSE_INCOMPLETE',
      errors: [new Error('c'), new Error('a')],
    })
    expect(dispose.error?.message).toBe('dispose incomplete after 12 ms: c (stop, 1 ms: Error), a (stop, 1 ms: Error)')
  })

  it('gives a hook its own time-out, and goes on when it has let go', async () => {
    add(part('a'), part('hangs', ['a'], 1, { stop: untilAborted, stopTimeout: '2s' }))
    await started()
    const dispose = outcomeOf(lifecycle.dispose({ deadline: '25s' }))
    await clock.advance(30_000)
    expect(dispose.atMs).toBe(2_010)
    expect(dispose.error).toMatchObject({ kind: 'timeout', errors: [{ code: 'STOP_TIMEOUT', elapsedMs: 2_000 }] })
    expect(seen).toEqual(['a-', 'a_'])
  })

  it('past its deadline still calls every hook, with an aborted signal, and ends in time', async () => {
    const called: [string, boolean][] = []
    const noting = (name: string) => (context: StepContext) => {
      called.push([name, context.signal.aborted])
      return never()
    }
    for (const [name, needs] of [
      ['a', []],
      ['b', ['a']],
      ['c', ['b']],
    ] as const) {
      add(
        part(name, [...needs], 1, { drain: noting(`${name} drain`), stop: noting(`${name} stop`), stopTimeout: '1h' }),
      )
    }
    await started()
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 5_000 }))
    await clock.advance(4_500)
    expect(called).toEqual([['c drain', false]])
    await clock.advance(60_000)
    expect(called).toEqual([
      ['c drain', false],
      ...['b drain', 'a drain', 'c stop', 'b stop', 'a stop'].map(name => [name, true]),
    ])
    expect(dispose.atMs).toBeLessThanOrEqual(5_000)
    expect(dispose.error?.errors).toHaveLength(6)
    expect(dispose.error?.message).toContain('still open: c, b, a')
    expect(clock.pendingTimers).toBe(0)
  })

  it('shares out the time by force, so that one that hangs leaves some to the next', async () => {
    const forced = ({ signal }: StepContext): Promise<void> =>
      untilAborted({ signal } as StepContext).catch(() => after(50))
    add(part('a', [], 1, { stop: forced }), part('hangs', ['a'], 1, { stop: never }))
    await started()
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 5_000 }))
    await clock.advance(5_000)
    expect(dispose.error?.failures.map(each => each.component)).toEqual(['hangs'])
  })

  it('with no time at all goes by force at once', async () => {
    const signals: boolean[] = []
    add(
      part('a', [], 1, { stop: ({ signal }) => void signals.push(signal.aborted) }),
      part('hangs', ['a'], 1, { stop: never }),
    )
    await started()
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 0 }))
    await clock.advance(0)
    expect(signals).toEqual([true])
    expect(dispose.error?.errors).toMatchObject([{ code: 'STOP_RUNS_ON' }])
  })

  it('happens once for all callers, and the earliest deadline of any holds', async () => {
    add(part('a', [], 1, { stop: untilAborted }))
    await started()
    const first = outcomeOf(lifecycle.dispose({ deadline: '10s' }))
    await clock.advance(1_000)
    const second = outcomeOf(lifecycle.dispose({ deadline: 1_000 }))
    const third = outcomeOf(lifecycle.dispose({ deadline: '1h' }))
    await clock.advance(1_000)
    expect(first.atMs).toBe(1_800)
    expect(second.error).toBe(first.error)
    expect(third.error).toBe(first.error)
    expect(lifecycle.timeline().steps.filter(step => step.phase === 'stop')).toHaveLength(1)
  })

  it('hastened while a hook is given time to let go gives it less', async () => {
    add(part('deaf', [], 1, { stop: never, stopTimeout: 1_000 }))
    await started()
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(1_100)
    void lifecycle.dispose({ deadline: 200 }).catch(() => {})
    await clock.advance(10_000)
    expect(dispose.atMs).toBe(1_300)
  })

  it('refuses a deadline that is none', async () => {
    await expect(lifecycle.dispose({ deadline: '5 seconds' as never })).rejects.toMatchObject({ kind: 'usage' })
  })

  it('without a start stops only what is held from construction on', async () => {
    add(part('held', [], 1, { heldFromConstruction: true }), part('mine', ['held']), part('bad', ['nobody']))
    await Promise.all([lifecycle.dispose(), clock.advance(10)])
    expect(seen).toEqual(['held-', 'held_'])
  })

  it('is followed by no start: that is an error', async () => {
    add(part('a'))
    await started()
    await Promise.all([lifecycle.dispose(), clock.advance(10)])
    await expect(lifecycle.init()).rejects.toMatchObject({ kind: 'usage', code: 'DISPOSED' })
    expect(() => lifecycle.add(part('b'))).toThrow(BreakwaterError)
  })
})

describe('dispose during init', () => {
  it('calls the start off, then stops what had started; both promises settle when that is done', async () => {
    add(part('a'), part('b', ['a'], 10, { start: untilAborted }), part('c', ['b']))
    const init = outcomeOf(lifecycle.init())
    await clock.advance(15)
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(9)
    expect(init.settled).toBe(false)
    await clock.advance(1)
    expect(dispose).toEqual({ settled: true, atMs: 10 })
    expect(init.error).toMatchObject({ code: 'INIT_CANCELLED', cause: { code: 'DISPOSED' } })
    expect(seen).toEqual(['a+', 'a.', 'a-', 'a_'])
  })

  it('hastens a roll-back that is under way, and stops nothing twice', async () => {
    add(part('a', [], 1, { stop: untilAborted }), part('b', ['a'], 1, { start: () => failAfter(1, 'boom') }))
    const init = outcomeOf(lifecycle.init())
    await clock.advance(100)
    expect(init.settled).toBe(false)
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 1_000 }))
    await clock.advance(1_000)
    expect(dispose).toEqual({ settled: true, atMs: 800 })
    expect(init.error?.errors).toMatchObject([{ message: 'boom' }, { code: 'STOP_TIMEOUT' }])
    expect(lifecycle.timeline().steps.filter(step => step.phase === 'stop')).toHaveLength(1)
  })

  it('keeps its deadline when a start does not let go, which is stopped when it is over', async () => {
    add(part('a'), part('deaf', ['a'], 10_000))
    const init = outcomeOf(lifecycle.init())
    await clock.advance(20)
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 1_000 }))
    await clock.advance(1_000)
    expect(dispose).toMatchObject({ settled: true, error: { errors: [{ code: 'STOP_POSTPONED' }] } })
    expect(init.settled).toBe(true)
    expect(seen).toEqual(['a+', 'a.', 'deaf+', 'a-', 'a_'])
    await clock.advance(30_000)
    expect(seen.slice(5)).toEqual(['deaf.', 'deaf-', 'deaf_'])
  })

  it('called by a hook of the start does not lock up', async () => {
    add(part('a'), part('b', ['a'], 1, { start: () => lifecycle.dispose() }))
    const init = outcomeOf(lifecycle.init())
    await clock.advance(60_000)
    expect(init.settled).toBe(true)
    expect(seen).toEqual(['a+', 'a.', 'a-', 'a_'])
  })
})

describe('init', () => {
  it('starts once for all callers', async () => {
    add(part('a'))
    const all = [lifecycle.init(), lifecycle.init()]
    await clock.advance(10)
    await Promise.all([...all, lifecycle.init()])
    expect(seen).toEqual(['a+', 'a.'])
  })

  it('takes hooks that are synchronous or throw at once', async () => {
    add({ name: 'a', start: () => 7 })
    add({
      name: 'b',
      dependsOn: ['a'],
      start: () => {
        throw new TypeError('at once')
      },
    })
    await expect(lifecycle.init()).rejects.toMatchObject({ cause: new TypeError('at once') })
  })
})

describe('the timeline', () => {
  it('has every step with its beginning, length and outcome, and the one that runs as far as it has come', async () => {
    add(part('a', [], 10), part('b', ['a'], 20))
    void lifecycle.init()
    await clock.advance(15)
    expect(lifecycle.timeline().steps).toEqual([
      { name: 'a', phase: 'start', startMs: 1_000, durationMs: 10, outcome: 'ok' },
      { name: 'b', phase: 'start', startMs: 1_010, durationMs: 5, outcome: 'running' },
    ])
    await clock.advance(15)
    void lifecycle.dispose()
    await clock.advance(30)
    expect(lifecycle.timeline().steps.slice(1)).toEqual([
      { name: 'b', phase: 'start', startMs: 1_010, durationMs: 20, outcome: 'ok' },
      { name: 'b', phase: 'stop', startMs: 1_030, durationMs: 20, outcome: 'ok' },
      { name: 'a', phase: 'stop', startMs: 1_050, durationMs: 10, outcome: 'ok' },
    ])
  })

  it('is logged line by line, with "draining" when the stop begins', async () => {
    const lines: string[] = []
    const log = (level: string) => (_: object, message: string) => void lines.push(`${level} ${message}`)
    lifecycle = new Lifecycle(clock, { info: log('info'), warn: log('warn') })
    add(
      part('a', [], 1, { stop: () => failAfter(1, 'secret') }),
      part('b', [], 1, { optional: true, start: () => failAfter(1, 'secret') }),
    )
    await started()
    await Promise.all([lifecycle.dispose().catch(() => {}), clock.advance(10)])
    expect(lines).toEqual([
      'info start of "a": ok',
      'warn start of "b": failed',
      'warn ready, but degraded',
      'info draining',
      'warn stop of "a": failed',
      'warn stopped, but not well',
    ])
  })
})
