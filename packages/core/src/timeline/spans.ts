/** A timeline as spans: what a tracer is told of it, after the fact. */

import { performance } from 'node:perf_hooks'
import { endOf, type Half, halvesOf, isWell, labelOf } from './halves.js'
import type { TimelineStep } from './record.js'
import type { Timeline } from './timeline.js'

export interface SpanRecord {
  readonly name: string
  /** Ms since 1970, with a fraction. */
  readonly startTime: number
  readonly endTime: number
  /** Why it did not go well. */
  readonly failure: string | undefined
  readonly within: readonly SpanRecord[]
}

/** Returns `lifecycle start` or `lifecycle stop` with a span within it for each step. */
export function spansOf(timeline: Pick<Timeline, 'boot' | 'steps'>, name: Half['name']): SpanRecord {
  const steps = halvesOf(timeline).find(half => half.name === name)?.steps ?? []
  const within = steps.map(step => spanOf(step, labelOf(step)))
  const startTime = Math.min(...within.map(span => span.startTime), performance.timeOrigin + performance.now())
  const endTime = Math.max(...within.map(span => span.endTime), startTime)
  return { name: `lifecycle ${name}`, startTime, endTime, failure: undefined, within }
}

function spanOf(step: TimelineStep, name: string): SpanRecord {
  return {
    name,
    startTime: performance.timeOrigin + step.startMs,
    endTime: performance.timeOrigin + endOf(step),
    failure: isWell(step) ? undefined : (step.reason ?? step.outcome),
    within: (step.steps ?? []).map(each => spanOf(each, each.name)),
  }
}
