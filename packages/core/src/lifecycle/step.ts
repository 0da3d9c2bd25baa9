/** One hook of one component as a step: run, recorded in the timeline, reported as an event. */

import type { Clock, Events, StepContext } from '@breakwater/kernel'
import type { HookPhase, StepOutcome } from '../timeline/record.js'
import type { BegunStep, Recorder } from '../timeline/recorder.js'
import type { LifecycleEvent } from './events.js'
import { reasonOf } from './failure.js'
import { type Hastened, type HookBounds, type HookEnd, runHook } from './hook.js'
import type { Part } from './part.js'
import { tracedStep } from './step-channel.js'

/** What start and stop share: where time comes from, and where what happens is told. */
export interface Surroundings {
  readonly clock: Clock
  readonly recorder: Recorder
  readonly events: Events<LifecycleEvent>
  /** Heard by every hook that is being waited for. */
  readonly hastened: Events<Hastened>
}

/** How a step is to be judged, given how its hook ended. */
export interface Verdict {
  readonly outcome: Exclude<StepOutcome, 'running'>
  readonly error?: unknown
}

export interface StepEnd extends Verdict {
  readonly hook: HookEnd
  readonly elapsedMs: number
}

/** Runs the hook that `part` has for `phase`, if it has one, and tells how it ended; never rejects. */
export async function runStep(
  part: Part,
  phase: HookPhase,
  bounds: HookBounds,
  judge: (end: HookEnd, elapsedMs: number) => Verdict,
  { clock, recorder, events, hastened }: Surroundings,
): Promise<StepEnd | undefined> {
  const { component } = part
  if (component[phase] === undefined) return undefined
  return tracedStep({ component: part.name, phase }, async () => {
    const begun = recorder.begin(part.name, phase)
    const hook = await runHook(
      context => component[phase]?.({ ...context, step: (name, fn) => runInnerStep(begun.begin(name), context, fn) }),
      clock,
      hastened,
      bounds,
    )
    const elapsedMs = bounds.deadline.elapsedMs
    const verdict = judge(hook, elapsedMs)
    events.emit({
      type: 'lifecycle.step',
      step: begun.end(verdict.outcome, verdict.error === undefined ? undefined : reasonOf(verdict.error)),
      ...('error' in verdict && { error: verdict.error }),
    })
    return { ...verdict, hook, elapsedMs }
  })
}

/** Runs what a hook takes for a step of its own; its outcome is the hook's business, and only recorded here. */
async function runInnerStep<T>(begun: BegunStep, { signal }: StepContext, fn: () => T): Promise<Awaited<T>> {
  try {
    const result = await fn()
    begun.end('ok')
    return result
  } catch (error) {
    begun.end(signal.aborted ? 'aborted' : 'failed', reasonOf(error))
    throw error
  }
}
