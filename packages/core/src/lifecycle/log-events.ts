/** Writes each event of the lifecycle as one log line. */

import type { Logger } from '@breakwater/kernel'
import type { LifecycleEvent } from './events.js'
import { reasonOf } from './failure.js'

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
      case 'lifecycle.retry-failed': {
        const { component, attempt, nextMs } = event
        const fields = { event: event.type, component, attempt, 'error.type': reasonOf(event.error) }
        logger.warn(fields, `"${component}" is still not there; trying again in ${Math.round(nextMs)} ms`)
        return
      }
      case 'lifecycle.recovered': {
        const { component, attempts } = event
        logger.info({ event: event.type, component, attempts }, `"${component}" is there now`)
        return
      }
      case 'lifecycle.work-failed': {
        const fields = { event: event.type, work: event.name, 'error.type': reasonOf(event.error), err: event.error }
        logger.warn(fields, `background work "${event.name}" failed`)
        return
      }
      case 'lifecycle.signal': {
        const { signal, isSecond, error } = event
        const fields = { event: event.type, signal, ...(error !== undefined && { err: error }) }
        const next = isSecond ? 'ending by force' : 'stopping'
        // A crash is told with all that is known of it: Node itself, which would have printed it, is not asked any more.
        if (error === undefined) logger.info(fields, `${signal}: ${next}`)
        else logger.warn(fields, `${signal}: ${isSecond ? 'stopping already' : next}`)
        return
      }
      case 'lifecycle.draining':
        // This very word is what operators search their logs for.
        logger.info(
          { event: event.type, deadline_ms: rounded(event.deadlineMs), in_flight: event.inFlight },
          'draining',
        )
        return
      case 'lifecycle.forced':
        logger.warn(
          { event: event.type, duration_ms: rounded(event.elapsedMs), left: event.left },
          'not over in time: ending by force what is left',
        )
        return
      case 'lifecycle.stopped': {
        const { failures, forced } = event
        const fields = { event: event.type, duration_ms: rounded(event.elapsedMs), forced }
        if (failures === 0) logger.info(fields, 'stopped')
        else logger.warn({ ...fields, failures }, 'stopped, but not well')
      }
    }
  }
}

/** To a tenth of a ms, which is what a reader of logs can use. */
function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}
