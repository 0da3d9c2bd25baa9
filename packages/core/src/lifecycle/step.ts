/** One hook of one component as a step: run, recorded in the timeline, reported as an event. */

import type { Clock, Events } from '@breakwater/kernel'
import type { LifecycleEvent } from './events.js'
import { type Hastened, type HookBounds, type HookEnd, runHook } from './hook.js'
import type { Part } from './part.js'
import type { Recorder, StepOutcome, StepPhase } from './timeline.js'

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
  phase: StepPhase,
  bounds: HookBounds,
  judge: (end: HookEnd, elapsedMs: number) => Verdict,
  { clock, recorder, events, hastened }: Surroundings,
): Promise<StepEnd | undefined> {
  const { component } = part
  if (component[phase] === undefined) return undefined
  const endStep = recorder.begin(part.name, phase)
  const hook = await runHook(context => component[phase]?.(context), clock, hastened, bounds)
  const elapsedMs = bounds.deadline.elapsedMs
  const verdict = judge(hook, elapsedMs)
  events.emit({
    type: 'lifecycle.step',
    step: endStep(verdict.outcome),
    ...('error' in verdict && { error: verdict.error }),
  })
  return { ...verdict, hook, elapsedMs }
}
