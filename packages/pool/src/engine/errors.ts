/** The pool's own errors: each says what, after how long, in which state, and what to do. */

import { BreakwaterError } from '@breakwater/kernel'
import type { ResourcePoolState, ResourcePoolStats } from './stats.js'

/** No resource came in time: kind `timeout`, code `POOL_ACQUIRE_TIMEOUT`, `cause` the last error of the factory. */
export class AcquireTimeoutError extends BreakwaterError {
  /** The pool when the time was up. */
  readonly stats: ResourcePoolStats

  constructor(message: string, details: { cause: unknown; elapsedMs: number; stats: ResourcePoolStats }) {
    super('timeout', 'POOL_ACQUIRE_TIMEOUT', message, details)
    this.stats = details.stats
  }
}

export function acquireTimeout(elapsedMs: number, stats: ResourcePoolStats, cause: unknown): AcquireTimeoutError {
  const last = cause === undefined ? '' : `; last create error: ${nameOf(cause)}`
  const message = `pool "${stats.name}": no resource after ${Math.round(elapsedMs)} ms ${inBrackets(stats)}${last}`
  return new AcquireTimeoutError(message, { cause, elapsedMs, stats })
}

export function createTimeout(elapsedMs: number, stats: ResourcePoolState): BreakwaterError {
  const message = `pool "${stats.name}": the factory made nothing in ${elapsedMs} ms ${inBrackets(stats)}`
  return new BreakwaterError('timeout', 'POOL_CREATE_TIMEOUT', message, { elapsedMs })
}

export function validateTimeout(elapsedMs: number, name: string): BreakwaterError {
  const message = `pool "${name}": a resource that was idle did not say in ${elapsedMs} ms whether it still works; it is destroyed`
  return new BreakwaterError('timeout', 'POOL_VALIDATE_TIMEOUT', message, { elapsedMs })
}

/** @param retryAfterMs undefined if nothing tells. */
export function saturated(state: ResourcePoolState, retryAfterMs: number | undefined): BreakwaterError {
  return overload('too many callers wait already', state, retryAfterMs)
}

export function tooLate(state: ResourcePoolState, expectedMs: number, timeoutMs: number): BreakwaterError {
  const what = `a resource is expected after ${Math.ceil(expectedMs)} ms, too late for a caller who waits ${timeoutMs} ms`
  return overload(what, state, expectedMs - timeoutMs)
}

export function shed(state: ResourcePoolState, waitedMs: number, retryAfterMs: number | undefined): BreakwaterError {
  const what = `rejected after ${Math.round(waitedMs)} ms, because the queue is slow and callers time out in it`
  return overload(what, state, retryAfterMs)
}

function overload(what: string, state: ResourcePoolState, retryAfterMs: number | undefined): BreakwaterError {
  const message = `pool "${state.name}": ${what} ${inBrackets(state)}; try again later`
  const known = retryAfterMs === undefined ? {} : { retryAfterMs: Math.ceil(retryAfterMs) }
  return new BreakwaterError('rejected', 'POOL_SATURATED', message, known)
}

export function stopping(stats: ResourcePoolState): BreakwaterError {
  const message = `pool "${stats.name}" is stopping and takes no callers ${inBrackets(stats)}`
  return new BreakwaterError('rejected', 'POOL_STOPPING', message, { retryable: false })
}

export function drainTimeout(elapsedMs: number, stats: ResourcePoolState): BreakwaterError {
  const message = `pool "${stats.name}": still in use after ${Math.round(elapsedMs)} ms of draining ${inBrackets(stats)}; dispose() ends what is left`
  return new BreakwaterError('timeout', 'POOL_DRAIN_TIMEOUT', message, { elapsedMs })
}

export function destroyTimeout(elapsedMs: number, name: string, left: number): BreakwaterError {
  const message = `pool "${name}": ${left} not gone ${Math.round(elapsedMs)} ms after the stop; no longer waited for`
  return new BreakwaterError('timeout', 'POOL_DESTROY_TIMEOUT', message, { elapsedMs })
}

function inBrackets({ idle, leased, creating, pending, max }: ResourcePoolState): string {
  return `(idle ${idle}, leased ${leased}, creating ${creating}, pending ${pending}, max ${max})`
}

function nameOf(error: unknown): string {
  const { code, message } = Object(error) as { code?: unknown; message?: unknown }
  return String(code ?? message ?? error)
}
