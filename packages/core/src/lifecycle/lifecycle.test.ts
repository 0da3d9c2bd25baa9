/** The order of everything, start and stop at once, and the record of it, on a clock that the test moves. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { type Channel, tracingChannel } from 'node:diagnostics_channel'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import {
  add,
  clock,
  failAfter,
  forgetSeen,
  lifecycle,
  outcomeOf,
  part,
  seen,
  setStage,
  started,
  untilAborted,
} from './stage.fixture.js'
import type { StepMessage } from './step-channel.js'

beforeEach(() => setStage())

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

    forgetSeen()
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
    forgetSeen()
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

describe('init', () => {
  it('starts once for all callers', async () => {
    add(part('a'))
    const all = [lifecycle.init(), lifecycle.init()]
    await clock.advance(10)
    await Promise.all([...all, lifecycle.init()])
    expect(seen).toEqual(['a+', 'a.'])
  })

  it('has room for many components in a level, without a warning', async () => {
    const warnings: Error[] = []
    const listen = (warning: Error): void => void warnings.push(warning)
    process.on('warning', listen)
    add(...Array.from({ length: 50 }, (_, i) => part(`p${i}`)))
    await started()
    await Promise.all([lifecycle.dispose(), clock.advance(10)])
    process.off('warning', listen)
    expect(warnings).toEqual([])
    expect(seen).toHaveLength(100)
  })

  it('tells of a hook that rejects without an error', async () => {
    add({ name: 'a', start: () => Promise.reject() })
    await expect(lifecycle.init()).rejects.toMatchObject({
      code: 'INIT_FAILED',
      cause: new TypeError('the hook rejected without an error'),
    })
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
    setStage({ info: log('info'), warn: log('warn') })
    add(
      part('a', [], 1, { stop: () => failAfter(1, 'secret') }),
      part('b', [], 1, { optional: true, start: () => failAfter(1, 'secret') }),
    )
    await Promise.all([lifecycle.init(), clock.advance(100)])
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

it('the channel breakwater:lifecycle:step tells of each hook while it runs, and binds a store to what it does', async () => {
  const channel = tracingChannel<StepMessage, StepMessage>('breakwater:lifecycle:step')
  const store = new AsyncLocalStorage<string>()
  const heard: string[] = []
  const subscribers = {
    ...{ start: ({ component, phase }: StepMessage) => void heard.push(`${component} ${phase}`), end: () => {} },
    ...{
      asyncStart: () => {},
      asyncEnd: ({ component, outcome }: StepMessage) => void heard.push(`${component} ${outcome}`),
    },
    error: ({ component, error }: StepMessage) => void heard.push(`${component} ${String(error)}`),
  }
  channel.subscribe(subscribers)
  onTestFinished(() => void channel.unsubscribe(subscribers))
  const start = channel.start as unknown as Channel<string, StepMessage>
  start.bindStore(store, ({ component }) => component)
  onTestFinished(() => void start.unbindStore(store))
  const within: unknown[] = []
  const note = (): void => void within.push(store.getStore())
  add(
    part('a', [], 1, { start: note, ready: note }),
    part('b', ['a'], 1, { start: note, stop: () => failAfter(1, 'b') }),
  )
  await started()
  const disposed = lifecycle.dispose().catch(error => error.code)
  await clock.advance(10)
  expect(await disposed).toBe('DISPOSE_INCOMPLETE')
  expect(heard).toEqual([
    ...['a start', 'a ok', 'b start', 'b ok', 'a ready', 'a ok'],
    ...['b stop', 'b Error: b', 'b failed', 'a stop', 'a ok'],
  ])
  expect(within).toEqual(['a', 'b', 'a'])
})
