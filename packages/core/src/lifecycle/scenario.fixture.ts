/** Random graphs of parts with random hooks, played on a fake clock: what was called, in which order, with what outcome. */

import type { StepContext } from '@breakwater/kernel'
import { FakeClock } from '@breakwater/testkit'
import fc from 'fast-check'
import type { StepPhase } from '../timeline/record.js'
import type { LifecycleError } from './failure.js'
import { Lifecycle } from './lifecycle.js'

type Behaviour =
  | { does: 'succeed' | 'fail'; afterMs: number; heedsAbort: boolean }
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
  hooks: Record<StepPhase, Behaviour>
}

export interface Scenario {
  parts: PartPlan[]
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
  { weight: 2, arbitrary: fc.record({ does: fc.constant('fail' as const), afterMs: ms, heedsAbort: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('hang' as const), heedsAbort: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant({ does: 'nothing' as const }) },
)
const plan: fc.Arbitrary<PartPlan> = fc.record({
  optional: fc.boolean(),
  startTimeout: fc.integer({ min: 100, max: 1_000 }),
  stopTimeout: fc.integer({ min: 50, max: 1_000 }),
  needs: fc.array(fc.nat(5), { maxLength: 3 }),
  hooks: fc.record({ start: behaviour, ready: behaviour, drain: behaviour, stop: behaviour }),
})
export const scenario: fc.Arbitrary<Scenario> = fc.record({
  parts: fc.array(plan, { minLength: 1, maxLength: 6 }),
  abortAfterMs: fc.option(fc.integer({ max: 1_500, min: 0 }), { nil: undefined, freq: 2 }),
  disposeAfterMs: fc.option(fc.integer({ max: 3_000, min: 0 }), { nil: undefined, freq: 2 }),
  deadlineMs: fc.integer({ min: 0, max: 6_000 }),
  hastened: fc.option(
    fc.record({ afterMs: fc.integer({ min: 0, max: 2_000 }), deadlineMs: fc.integer({ min: 0, max: 2_000 }) }),
    { nil: undefined, freq: 2 },
  ),
})

interface Call {
  name: string
  phase: StepPhase
  abortedAtCall: boolean
  /** Position in the order of all beginnings and endings. */
  began: number
  ended: number
  succeeded: boolean
  /** Its own error, when it was still being waited for at that moment. */
  awaitedError: Error | undefined
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
  init: Settled
  dispose: Settled
  /** Whether init() had settled when dispose() was called. */
  initSettledFirst: boolean
  /** Whether the caller's signal was aborted, at whatever time. */
  cancelled: boolean
}

/** Runs one scenario to its very end, long past every time-out. */
export async function play({ parts, abortAfterMs, disposeAfterMs, deadlineMs, hastened }: Scenario): Promise<Played> {
  const clock = new FakeClock()
  const lifecycle = new Lifecycle(clock)
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
      if (does.does === 'fail') clock.schedule(does.afterMs, () => reject(new Error(`${call.name} ${call.phase}`)))
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
  parts.forEach(({ optional, startTimeout, stopTimeout, needs, hooks }, i) => {
    const name = `p${i}`
    const hook = (phase: StepPhase): object => {
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
    const phases = { ...hook('start'), ...hook('ready'), ...hook('drain'), ...hook('stop') }
    lifecycle.add({ name, dependsOn, optional, startTimeout, stopTimeout, ...phases })
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
  return { clock, lifecycle, calls, init, dispose, initSettledFirst, cancelled: controller.signal.aborted }
}
