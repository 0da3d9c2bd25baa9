/** Everything that the lifecycle reports while it works: log lines, and later metrics and spans, are made of these alone. */

import type { ComponentEvent, Logger } from '@breakwater/kernel'
import type { TimelineStep } from '../timeline/record.js'
import { reasonOf } from './failure.js'

interface StepEnded extends ComponentEvent {
  readonly type: 'lifecycle.step'
  readonly step: TimelineStep
  /** Why, when the outcome is `failed` or `timeout`. */
  readonly error?: unknown
}

interface Ready extends ComponentEvent {
  readonly type: 'lifecycle.ready'
  readonly elapsedMs: number
  /** The optional components that the service now runs without. */
  readonly degraded: readonly string[]
}

interface Draining extends ComponentEvent {
  readonly type: 'lifecycle.draining'
  readonly deadlineMs: number
}

interface Stopped extends ComponentEvent {
  readonly type: 'lifecycle.stopped'
  readonly elapsedMs: number
  readonly failures: number
}

export type LifecycleEvent = StepEnded | Ready | Draining | Stopped

/** Returns a listener that writes each event as one log line. */
export function logTo(logger: Logger): (event: LifecycleEvent) => void {
  return event => {
    switch (event.type) {
      case 'lifecycle.step': {
        const { name, phase, outcome, durationMs } = event.step
        const fields = { event: event.type, component: name, phase, outcome, duration_ms: rounded(durationMs) }
        if (event.error === undefined) logger.info(fields, `${phase} of "${name}": ${outcome}`)
        else logger.warn({ ...fields, 'error.type': reasonOf(event.error) }, `${phase} of "${name}": ${outcome}`)
        return
      }
      case 'lifecycle.ready': {
        const fields = { event: event.type, duration_ms: rounded(event.elapsedMs) }
        if (event.degraded.length === 0) logger.info(fields, 'ready')
        else logger.warn({ ...fields, degraded: event.degraded }, 'ready, but degraded')
        return
      }
      case 'lifecycle.draining':
        // This very word is what operators search their logs for.
        logger.info({ event: event.type, deadline_ms: rounded(event.deadlineMs) }, 'draining')
        return
      case 'lifecycle.stopped': {
        const fields = { event: event.type, duration_ms: rounded(event.elapsedMs) }
        if (event.failures === 0) logger.info(fields, 'stopped')
        else logger.warn({ ...fields, failures: event.failures }, 'stopped, but not well')
      }
    }
  }
}

/** To a tenth of a ms, which is what a reader of logs can use. */
function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}
