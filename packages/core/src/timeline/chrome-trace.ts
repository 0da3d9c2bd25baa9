/** A timeline in the Trace Event Format, which Perfetto and `chrome://tracing` open. */

import type { Half } from './halves.js'
import type { TimelineStep } from './record.js'

export interface ChromeTrace {
  readonly displayTimeUnit: 'ms'
  readonly traceEvents: readonly TraceEvent[]
}

interface TraceEvent {
  readonly name: string
  readonly cat?: string
  /** X: from when to when. M: the name of a row. */
  readonly ph: 'X' | 'M'
  /** In us. */
  readonly ts?: number
  readonly dur?: number
  readonly pid: number
  readonly tid: number
  readonly args: Readonly<Record<string, string>>
}

/** One row for each component, since its steps never overlap, other than those of different ones. */
export function toChromeTrace(halves: readonly Half[]): ChromeTrace {
  const steps = halves.flatMap(half => half.steps)
  const rows = [...new Set(steps.map(step => step.name))]
  const { pid } = process
  const names = rows.map((name, tid): TraceEvent => ({ name: 'thread_name', ph: 'M', pid, tid, args: { name } }))
  return {
    displayTimeUnit: 'ms',
    traceEvents: [...names, ...steps.flatMap(step => eventsOf(step, pid, rows.indexOf(step.name)))],
  }
}

function eventsOf(step: TimelineStep, pid: number, tid: number): TraceEvent[] {
  const { name, phase, startMs, durationMs, outcome, reason, steps = [] } = step
  const args = { outcome, ...(reason !== undefined && { reason }) }
  const times = { ts: Math.round(startMs * 1_000), dur: Math.round(durationMs * 1_000) }
  return [{ name, cat: phase, ph: 'X', ...times, pid, tid, args }, ...steps.flatMap(each => eventsOf(each, pid, tid))]
}
