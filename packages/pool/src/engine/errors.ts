/** The pool's own errors: each says what, after how long, in which state, and what to do. */

import { BreakwaterError } from '@breakwater/kernel'
import type { ResourcePoolStats } from './stats.js'

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

export function createTimeout(elapsedMs: number, stats: ResourcePoolStats): BreakwaterError {
  const message = `pool "${stats.name}": the factory made nothing in ${elapsedMs} ms ${inBrackets(stats)}`
  return new BreakwaterError('timeout', 'POOL_CREATE_TIMEOUT', message, { elapsedMs })
}

export function saturated(stats: ResourcePoolStats): BreakwaterError {
  const message = `pool "${stats.name}": too many callers wait already ${inBrackets(stats)}; try again later`
  return new BreakwaterError('rejected', 'POOL_SATURATED', message)
}

export function stopping(stats: ResourcePoolStats): BreakwaterError {
  const message = `pool "${stats.name}" is stopping and takes no callers ${inBrackets(stats)}`
  return new BreakwaterError('rejected', 'POOL_STOPPING', message, { retryable: false })
}

export function drainTimeout(elapsedMs: number, stats: ResourcePoolStats): BreakwaterError {
  const message = `pool "${stats.name}": still in use after ${Math.round(elapsedMs)} ms of draining ${inBrackets(stats)}; dispose() ends what is left`
  return new BreakwaterError('timeout', 'POOL_DRAIN_TIMEOUT', message, { elapsedMs })
}

export function destroyTimeout(elapsedMs: number, name: string, left: number): BreakwaterError {
  const message = `pool "${name}": ${left} not gone ${Math.round(elapsedMs)} ms after the stop; no longer waited for`
  return new BreakwaterError('timeout', 'POOL_DESTROY_TIMEOUT', message, { elapsedMs })
}

function inBrackets({ idle, leased, creating, pending, max }: ResourcePoolStats): string {
  return `(idle ${idle}, leased ${leased}, creating ${creating}, pending ${pending}, max ${max})`
}

function nameOf(error: unknown): string {
  const { code, message } = Object(error) as { code?: unknown; message?: unknown }
  return String(code ?? message ?? error)
}
