/** The way up: every part's `start`, level by level, then every part's `ready`; the first failure calls the rest off. */

import { Deadline } from '@breakwater/kernel'
import { type Failure, hookRunsOn, hookTimeout } from './failure.js'
import type { HookEnd } from './hook.js'
import type { Part } from './part.js'
import { runStep, type Surroundings, type Verdict } from './step.js'

type UpPhase = 'start' | 'ready'

export interface StartContext extends Surroundings {
  /** Aborted when the start is not wanted any more. */
  readonly cancel: AbortSignal
  /** Ms that hooks get to let go once the start is called off. */
  readonly graceMs: () => number
  /** Told when a hook that was given up on is over after all; must not throw. */
  readonly onLate: (part: Part, succeeded: boolean) => void
}

/**
 * Resolves with every failure, none if all went well; parts that are optional never count as one.
 * @param controller what `context.cancel` hears; aborted here by the first failure.
 */
export async function startAll(
  levels: readonly (readonly Part[])[],
  context: StartContext,
  controller: AbortController,
): Promise<Failure[]> {
  const failures: Failure[] = []
  const startPart = async (part: Part, phase: UpPhase): Promise<void> => {
    const failure = await bringUp(part, phase, context)
    if (failure === undefined) return
    failures.push(failure)
    controller.abort(failure.error)
  }
  for (const phase of ['start', 'ready'] as const) {
    for (const level of levels) {
      if (context.cancel.aborted) return failures
      await Promise.all(level.map(part => startPart(part, phase)))
    }
  }
  return failures
}

/** Calls one hook of one part, and resolves with its failure, unless it went well or the part is optional. */
export async function bringUp(part: Part, phase: UpPhase, context: StartContext): Promise<Failure | undefined> {
  if (part.state === 'disabled') {
    if (phase === 'start') skip(part, context)
    return undefined
  }
  if (phase === 'ready' && part.state !== 'started') return undefined
  if (phase === 'start') part.state = 'starting'

  const { clock, cancel, graceMs } = context
  const bounds = { deadline: new Deadline(clock, part.startTimeoutMs), cancel, graceMs }
  const end = await runStep(part, phase, bounds, (hook, elapsedMs) => judge(part, phase, hook, elapsedMs), context)

  if (end === undefined || end.hook.result === 'ok') note(part, phase)
  if (end?.hook.result === 'running') {
    part.overdue = true
    void end.hook.over.then(succeeded => {
      part.overdue = false
      if (succeeded) note(part, phase)
      context.onLate(part, succeeded)
    })
  }
  if (end === undefined || end.outcome === 'ok') {
    part.state = 'started'
  } else if (end.outcome === 'aborted') {
    part.state = 'idle'
  } else if (part.component.optional && end.hook.result === 'ok') {
    // Just past its time: for a part that may come at any time that is as good as within it.
    part.state = 'started'
  } else {
    part.error = end.error
    part.state = part.component.optional ? 'degraded' : 'failed'
    if (part.component.optional) return undefined
    const { elapsedMs, error } = end
    return { component: part.name, phase, elapsedMs, error, open: end.hook.result === 'running' }
  }
  return undefined
}

function note(part: Part, phase: UpPhase): void {
  if (phase === 'start') {
    part.started = true
    part.isUp = true
  } else part.readied = true
}

function skip(part: Part, { recorder, events }: Surroundings): void {
  events.emit({ type: 'lifecycle.step', step: recorder.begin(part.name, 'start').end('skipped') })
}

function judge(part: Part, phase: UpPhase, { result, aborted, error }: HookEnd, elapsedMs: number): Verdict {
  if (aborted === 'deadline') {
    return { outcome: 'timeout', error: hookTimeout(part.name, phase, elapsedMs, error) }
  }
  if (result === 'ok') return { outcome: 'ok' }
  if (result === 'let-go') return { outcome: 'aborted' }
  if (result === 'running') return { outcome: 'timeout', error: hookRunsOn(part.name, phase, elapsedMs) }
  return { outcome: 'failed', error }
}
