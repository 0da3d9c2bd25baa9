/** The start and the stop of a timeline apart, and in each the steps that its length is made of. */

import type { StepPhase, TimelineStep } from './record.js'

export interface Half {
  readonly name: 'start' | 'stop'
  readonly steps: readonly TimelineStep[]
}

interface Recorded {
  readonly boot: readonly TimelineStep[]
  readonly steps: readonly TimelineStep[]
}

const UP: readonly StepPhase[] = ['boot', 'start', 'ready']

/** Returns the halves that there are, in their order. */
export function halvesOf({ boot, steps }: Recorded): Half[] {
  const halves: Half[] = [
    { name: 'start', steps: [...boot, ...steps.filter(({ phase }) => UP.includes(phase))] },
    { name: 'stop', steps: steps.filter(({ phase }) => !UP.includes(phase)) },
  ]
  return halves.filter(half => half.steps.length > 0)
}

export function endOf({ startMs, durationMs }: TimelineStep): number {
  return startMs + durationMs
}

export function totalMsOf({ steps }: Half): number {
  return Math.max(...steps.map(endOf)) - Math.min(...steps.map(step => step.startMs))
}

export function isWell({ outcome }: TimelineStep): boolean {
  return outcome === 'ok' || outcome === 'running' || outcome === 'skipped'
}

/** Tells whether `before` was over when `after` began. */
export function isBefore(before: TimelineStep, after: TimelineStep): boolean {
  return before !== after && before.outcome !== 'skipped' && endOf(before) <= after.startMs
}

/** Returns the steps without which the half would have been shorter: back from its last, each time the one awaited last. */
export function criticalPath({ steps }: Half): ReadonlySet<TimelineStep> {
  const path = new Set<TimelineStep>()
  const last = (among: readonly TimelineStep[]): TimelineStep | undefined =>
    among.reduce<TimelineStep | undefined>((best, each) => (best && endOf(best) > endOf(each) ? best : each), undefined)
  for (let at = last(steps.filter(({ outcome }) => outcome !== 'skipped')); at !== undefined; ) {
    const step = at
    path.add(step)
    at = last(steps.filter(each => !path.has(each) && isBefore(each, step)))
  }
  return path
}

/** Returns a step's label: its name, and its hook where that is not plain. */
export function labelOf({ name, phase }: TimelineStep): string {
  return phase === 'start' || phase === 'boot' || phase === 'wait' ? name : `${name} (${phase})`
}

export function roundedMs(ms: number): string {
  return `${ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms)} ms`
}
