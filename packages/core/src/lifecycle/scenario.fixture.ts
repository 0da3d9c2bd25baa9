/** Random graphs of parts with random hooks, played on a fake clock: what was called, in which order, with what outcome. */

import type { StepContext } from '@breakwater/kernel'
import { FakeClock } from '@breakwater/testkit'
import fc from 'fast-check'
import type { HookPhase } from '../timeline/record.js'
import { CONSUMER_HOOKS } from './component.js'
import type { LifecycleError } from './failure.js'
import { Lifecycle } from './lifecycle.js'

type Behaviour =
  | { does: 'succeed'; afterMs: number; heedsAbort: boolean }
  /** The first `times` times. */
  | { does: 'fail'; afterMs: number; heedsAbort: boolean; times: number }
  /** Lets go when it is told to, if it heeds that; else never ends. */
  | { does: 'hang'; heedsAbort: boolean }
  /** There is no such hook. */
  | { does: 'nothing' }

export interface PartPlan {
  optional: boolean
  startTimeout: number
  stopTimeout: number
  /** Indexes of parts before this one, so that there is no cycle. */
  needs: number[]
  /** Has the hooks of a consumer in the place of `drain`. */
  consumer: boolean
  hooks: Record<HookPhase, Behaviour>
}

interface WorkPlan {
  kind: 'tracked' | 'background'
  /** When somebody comes with it. */
  atMs: number
  lastsMs: number
}

export interface Scenario {
  parts: PartPlan[]
  work: WorkPlan[]
  /** How long traffic is waited for to cease. */
  delayMs: number
  /** Calls the start off by its signal. */
  abortAfterMs: number | undefined
  /** Else dispose() is called once init() has settled. */
  disposeAfterMs: number | undefined
  deadlineMs: number
  /** A second dispose(), this long after the first, and its deadline. */
  hastened: { afterMs: number; deadlineMs: number } | undefined
}

const ms = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 0, max: 400 }) },
  // Past every time-out and every grace.
  { weight: 1, arbitrary: fc.integer({ min: 4_000, max: 9_000 }) },
)
const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ does: fc.constant('succeed' as const), afterMs: ms, heedsAbort: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant('fail' as const),
      afterMs: ms,
      heedsAbort: fc.boolean(),
      times: fc.constantFrom(1, Number.POSITIVE_INFINITY),
    }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('hang' as const), heedsAbort: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant({ does: 'nothing' as const }) },
)
const plan: fc.Arbitrary<PartPlan> = fc.record({
  optional: fc.boolean(),
  startTimeout: fc.integer({ min: 100, max: 1_000 }),
  stopTimeout: fc.integer({ min: 50, max: 1_000 }),
  needs: fc.array(fc.nat(5), { maxLength: 3 }),
  consumer: fc.boolean(),
  hooks: fc.record({
    start: behaviour,
    ready: behaviour,
    drain: behaviour,
    pause: behaviour,
    finish: behaviour,
    commit: behaviour,
    disconnect: behaviour,
    stop: behaviour,
  }),
})
const work: fc.Arbitrary<WorkPlan> = fc.record({
  kind: fc.constantFrom('tracked', 'background'),
  atMs: fc.integer({ min: 0, max: 4_000 }),
  lastsMs: ms,
})
export const scenario: fc.Arbitrary<Scenario> = fc.record({
  parts: fc.array(plan, { minLength: 1, maxLength: 6 }),
  work: fc.array(work, { maxLength: 4 }),
  delayMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 500 })),
  abortAfterMs: fc.option(fc.integer({ max: 1_500, min: 0 }), { nil: undefined, freq: 2 }),
  disposeAfterMs: fc.option(fc.integer({ max: 3_000, min: 0 }), { nil: undefined, freq: 2 }),
  deadlineMs: fc.integer({ min: 0, max: 6_000 }),
  hastened: fc.option(
    fc.record({ afterMs: fc.integer({ min: 0, max: 2_000 }), deadlineMs: fc.integer({ min: 0, max: 2_000 }) }),
    { nil: undefined, freq: 2 },
  ),
})

export interface Call {
  name: string
  phase: HookPhase
  abortedAtCall: boolean
  /** Position in the order of all beginnings and endings. */
  began: number
  ended: number
  succeeded: boolean
  /** Its own error, when it was still being waited for at that moment. */
  awaitedError: Error | undefined
}

interface Worked extends WorkPlan {
  /** Position in the order of all beginnings and endings; undefined if it was refused. */
  began: number | undefined
  ended: number
  /** Whether the stop had begun. */
  cameLate: boolean
}

/** How a promise came out, and when, in ms from when it was asked for. */
interface Settled {
  error?: LifecycleError
  atMs?: number
}

export interface Played {
  clock: FakeClock
  lifecycle: Lifecycle
  calls: Call[]
  work: Worked[]
  init: Settled
  dispose: Settled
  /** Whether init() had settled when dispose() was called. */
  initSettledFirst: boolean
  /** Whether the caller's signal was aborted, at whatever time. */
  cancelled: boolean
}

/** Runs one scenario to its very end, long past every time-out. */
export async function play(scenario: Scenario): Promise<Played> {
  const { parts, abortAfterMs, disposeAfterMs, deadlineMs, hastened } = scenario
  const clock = new FakeClock()
  const delay = (signal: AbortSignal): Promise<void> => passed(clock, scenario.delayMs, signal)
  const lifecycle = new Lifecycle(clock, undefined, { delay })
  const calls: Call[] = []
  let tick = 0

  const perform = async (call: Call, does: Behaviour, { signal }: StepContext): Promise<void> => {
    await new Promise<void>((resolve, reject) => {
      const letGo = (): void => reject(signal.reason)
      if ('heedsAbort' in does && does.heedsAbort) {
        if (signal.aborted) return letGo()
        signal.addEventListener('abort', letGo)
      }
      if (does.does === 'succeed') clock.schedule(does.afterMs, resolve)
      if (does.does === 'fail') {
        const before = calls.filter(each => each.name === call.name && each.phase === call.phase).length - 1
        const end = before < does.times ? () => reject(new Error(`${call.name} ${call.phase}`)) : resolve
        clock.schedule(does.afterMs, end)
      }
    }).then(
      () => {
        call.ended = tick++
        call.succeeded = true
      },
      error => {
        call.ended = tick++
        const step = lifecycle.timeline().steps.findLast(each => each.name === call.name && each.phase === call.phase)
        if (error !== signal.reason && step?.outcome === 'running') call.awaitedError = error
        throw error
      },
    )
  }
  parts.forEach(({ optional, startTimeout, stopTimeout, needs, consumer, hooks }, i) => {
    const name = `p${i}`
    const hook = (phase: HookPhase): object => {
      const does = hooks[phase]
      if (does.does === 'nothing') return {}
      return {
        [phase]: (context: StepContext) => {
          const abortedAtCall = context.signal.aborted
          const call: Call = {
            name,
            phase,
            abortedAtCall,
            began: tick++,
            ended: Number.POSITIVE_INFINITY,
            succeeded: false,
            awaitedError: undefined,
          }
          calls.push(call)
          return perform(call, does, context)
        },
      }
    }
    const dependsOn = i === 0 ? [] : [...new Set(needs.map(each => `p${each % i}`))]
    const down: HookPhase[] = consumer ? [...CONSUMER_HOOKS] : ['drain']
    const phases = Object.assign({}, ...(['start', 'ready', ...down, 'stop'] as const).map(hook))
    lifecycle.add({ name, dependsOn, optional, startTimeout, stopTimeout, ...phases })
  })

  const worked = scenario.work.map((each): Worked => {
    const one: Worked = { ...each, began: undefined, ended: Number.POSITIVE_INFINITY, cameLate: false }
    const perform = async (): Promise<void> => {
      one.began = tick++
      await passed(clock, each.lastsMs)
      one.ended = tick++
    }
    clock.schedule(each.atMs, () => {
      one.cameLate = lifecycle.inFlight.isDraining
      if (each.kind === 'tracked') lifecycle.inFlight.track('work', perform).catch(() => {})
      else lifecycle.inFlight.detach('work', perform, () => {})
    })
    return one
  })

  const outcome = (promise: Promise<void>): Settled => {
    const begun = clock.now()
    const settled: Settled = {}
    promise.then(
      () => Object.assign(settled, { atMs: clock.now() - begun }),
      error => Object.assign(settled, { error, atMs: clock.now() - begun }),
    )
    return settled
  }
  const controller = new AbortController()
  if (abortAfterMs !== undefined) clock.schedule(abortAfterMs, () => controller.abort())
  const init = outcome(lifecycle.init({ signal: controller.signal }))
  await clock.advance(disposeAfterMs ?? 60_000)
  const initSettledFirst = init.atMs !== undefined
  const dispose = outcome(lifecycle.dispose({ deadline: deadlineMs }))
  if (hastened !== undefined) {
    await clock.advance(hastened.afterMs)
    void lifecycle.dispose({ deadline: hastened.deadlineMs }).catch(() => {})
  }
  await clock.advance(60_000)
  const cancelled = controller.signal.aborted
  return { clock, lifecycle, calls, work: worked, init, dispose, initSettledFirst, cancelled }
}

function passed(clock: FakeClock, afterMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const timer = clock.schedule(afterMs, resolve)
    const onAbort = (): void => {
      timer.cancel()
      resolve()
    }
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort)
  })
}
