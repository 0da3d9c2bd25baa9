/** The phases of a stop, on a clock that the test moves: nothing that work needs goes before the work is over. */

import type { StepContext } from '@breakwater/kernel'
import { beforeEach, describe, expect, it } from 'vitest'
import type { LifecycleEvent } from './events.js'
import { Lifecycle, type LifecycleSettings } from './lifecycle.js'
import {
  add,
  after,
  clock,
  failAfter,
  lifecycle,
  never,
  outcomeOf,
  part,
  seen,
  setStage,
  started,
} from './stage.fixture.js'

beforeEach(() => setStage())

/** A consumer whose hooks take `ms` and are seen. */
function consumer(name: string, ms = 10, rest: Record<string, unknown> = {}): void {
  const hook = (phase: string) => async (context: StepContext) => {
    seen.push(`${name} ${phase}${context.signal.aborted ? ' by force' : ''}`)
    await after(ms)
  }
  const hooks = ['pause', 'finish', 'commit', 'disconnect'].map(phase => [phase, hook(phase)])
  add({ name, ready: () => {}, ...Object.fromEntries(hooks), ...rest })
}

const work = (ms: number): Promise<void> =>
  lifecycle.inFlight.track('work', async () => {
    await after(ms)
    seen.push('work over')
  })

const notice = (what: string) => (): void => void seen.push(what)

describe('the phases', () => {
  it('let nothing in any more once all is ended by force, not even from work that goes on', async () => {
    add(part('db', [], 1))
    await started()
    let late: unknown
    void lifecycle.inFlight.track('deaf', async () => {
      await after(5_000)
      late = await lifecycle.inFlight.track('inner', () => 'let in').catch(error => error.code)
    })
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 1_000 }))
    await clock.advance(10_000)
    expect([late, dispose.error?.code]).toEqual(['DRAINING', 'DISPOSE_INCOMPLETE'])
  })

  it('let in, once the intake is closed, what belongs to work inside, and nothing else', async () => {
    add(part('http', [], 1, { ready: () => {}, drain: () => {} }))
    await started()
    const inner: unknown[] = []
    void lifecycle.inFlight.track('outer', async () => {
      await after(50)
      inner.push(await lifecycle.inFlight.track('inner', () => 'let in'))
    })
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(20)
    await expect(lifecycle.inFlight.track('stray', () => {})).rejects.toMatchObject({ code: 'DRAINING' })
    await clock.advance(1_000)
    expect(inner).toEqual(['let in'])
    expect(dispose.settled).toBe(true)
    expect(dispose.error).toBeUndefined()
  })

  it('come one after the other: intake, work, consumers, background work, parts', async () => {
    add(part('db', [], 1), part('http', ['db'], 1, { ready: () => {}, drain: notice('port closed') }))
    consumer('jobs', 1)
    await started()
    void work(50)
    lifecycle.inFlight.detach(
      'audit',
      () => after(200).then(notice('audit over')),
      () => {},
    )
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(1_000)
    expect(seen).toEqual([
      ...['port closed', 'work over'],
      ...['jobs pause', 'jobs finish', 'jobs commit', 'jobs disconnect'],
      ...['audit over', 'http-', 'http_', 'db-', 'db_'],
    ])
    expect(dispose).toEqual({ settled: true, atMs: 202 })
    expect(lifecycle.timeline().steps.filter(step => step.phase === 'wait')).toMatchObject([
      { name: 'in-flight', durationMs: 50, outcome: 'ok' },
      { name: 'background', durationMs: 146, outcome: 'ok' },
    ])
  })

  it('call every hook of a consumer, whatever became of the one before', async () => {
    consumer('jobs', 1, { pause: () => failAfter(1, 'pause'), finish: never, stopTimeout: 100 })
    await started()
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(5_000)
    expect(seen).toEqual(['jobs commit', 'jobs disconnect'])
    expect(dispose.error?.failures.map(({ component, phase }) => `${component} ${phase}`)).toEqual([
      'jobs pause',
      'jobs finish',
    ])
  })

  it('stop consumers beside work that is stuck, while there is time to commit', async () => {
    add(part('db'))
    consumer('jobs')
    await started()
    void lifecycle.inFlight.track('stuck', never)
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 10_000 }))
    await clock.advance(5_000)
    expect(seen).toEqual(['jobs pause', 'jobs finish', 'jobs commit', 'jobs disconnect'])
    await clock.advance(5_000)
    expect(seen.slice(4)).toEqual(['db-', 'db_'])
    expect(dispose.atMs).toBeLessThanOrEqual(10_000)
    expect(dispose.error?.message).toContain('still under way: stuck (9500 ms)')
    expect(dispose.error).toMatchObject({ kind: 'timeout', cause: { code: 'WORK_LEFT' } })
  })

  it('leave work that is slow all the time there is', async () => {
    add(part('db', [], 1))
    consumer('jobs', 1)
    await started()
    void work(9_000)
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 10_000 }))
    await clock.advance(10_000)
    expect(seen.slice(-3)).toEqual(['work over', 'db-', 'db_'])
    expect(dispose.error).toBeUndefined()
  })

  it('of a failed start wait for what was let in by those that were ready', async () => {
    add(
      part('db', [], 1),
      part('http', ['db'], 1, { ready: () => void work(50), drain: notice('port closed') }),
      part('late', ['http'], 1, { ready: () => failAfter(10, 'no') }),
    )
    const init = outcomeOf(lifecycle.init())
    await clock.advance(1_000)
    expect(init.error?.code).toBe('INIT_FAILED')
    expect(seen.slice(-8)).toEqual(['port closed', 'work over', 'late-', 'late_', 'http-', 'http_', 'db-', 'db_'])
  })
})

describe('the delay', () => {
  async function stoppedWith(settings: LifecycleSettings): Promise<Lifecycle> {
    const own = new Lifecycle(clock, undefined, settings)
    own.add(part('http', [], 1, { ready: () => {}, drain: notice('port closed') }))
    await Promise.all([own.init(), clock.advance(10)])
    return own
  }

  it('comes before the port is closed, and lets everything in', async () => {
    const own = await stoppedWith({ delay: () => after(100) })
    const dispose = outcomeOf(own.dispose())
    await clock.advance(50)
    await own.inFlight.track('late request', () => {})
    expect(own.isReady).toBe(false)
    expect(seen).not.toContain('port closed')
    await clock.advance(60)
    expect(seen).toContain('port closed')
    expect(dispose.atMs).toBe(101)
  })

  it('is over when a second call forces, and all is over within half a second', async () => {
    const hung = new Promise<void>(() => {})
    const own = await stoppedWith({
      delay: signal =>
        Promise.race([hung, new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))]),
    })
    const dispose = outcomeOf(own.dispose())
    await clock.advance(50)
    void own.dispose({ force: true })
    await clock.advance(500)
    expect(dispose.atMs).toBeLessThanOrEqual(550)
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('force', () => {
  it('tells once what was not over, before it ends any of it', async () => {
    const events: LifecycleEvent[] = []
    lifecycle.events.subscribe(event => events.push(event))
    add(part('db', [], 1, { left: () => ({ clients: 2 }) } as never))
    consumer('jobs', 1, { finish: never, stopTimeout: '1h' })
    await started()
    void lifecycle.inFlight.track('import', never)
    lifecycle.inFlight.detach('audit', never, () => {})
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 5_000 }))
    await clock.advance(5_000)
    expect(events.filter(event => event.type === 'lifecycle.forced')).toMatchObject([
      {
        elapsedMs: 4_500,
        left: {
          work: [
            { kind: 'tracked', name: 'import', ageMs: 4_500 },
            { kind: 'background', name: 'audit', ageMs: 4_500 },
          ],
          workCount: 2,
          running: ['in-flight (wait)', 'jobs (finish)'],
          uncommitted: ['jobs'],
          components: { db: { clients: 2 } },
        },
      },
    ])
    expect(seen).toEqual(['jobs pause', 'jobs commit by force', 'jobs disconnect by force', 'db-', 'db_'])
    expect(dispose.error?.left?.workCount).toBe(2)
  })

  it('is told to work under way by its signal', async () => {
    add(part('db', [], 1))
    await started()
    const heard: unknown[] = []
    const letGo = lifecycle.inFlight.track(
      'loop',
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
    )
    letGo.catch(error => heard.push(error.code))
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 1_000 }))
    await clock.advance(1_000)
    expect(heard).toEqual(['STOP_FORCED'])
    expect(dispose.settled).toBe(true)
  })
})

describe('the flush', () => {
  it('is the last thing, and fails nothing', async () => {
    const own = new Lifecycle(clock, undefined, { flush: () => failAfter(1, 'gone').finally(notice('flushed')) })
    own.add(part('db', [], 1))
    await Promise.all([own.init(), clock.advance(10)])
    const dispose = outcomeOf(own.dispose())
    await clock.advance(10)
    expect(seen.slice(-2)).toEqual(['db_', 'flushed'])
    expect(dispose).toEqual({ settled: true, atMs: 2 })
  })

  it('that hangs is given up at the deadline', async () => {
    const own = new Lifecycle(clock, undefined, { flush: never })
    const dispose = outcomeOf(own.dispose({ deadline: 3_000 }))
    await clock.advance(3_000)
    expect(dispose).toEqual({ settled: true, atMs: 3_000 })
  })
})
