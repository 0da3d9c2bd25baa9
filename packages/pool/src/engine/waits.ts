/** How long callers say they will wait. */

import { BreakwaterError, type Clock, Deadline, type Duration, parseDuration } from '@breakwater/kernel'

export interface AcquireOptions {
  /** Longest wait; 0 to Infinity. Default: the pool's `acquireTimeout`. */
  timeout?: Duration | undefined
  /** Ends the wait; its reason becomes the error. */
  signal?: AbortSignal | undefined
  /** A lease will do that others have at the same time: see `join`. Default false. */
  shared?: boolean | undefined
}

export interface StopOptions {
  /** How long from now, or by when. */
  deadline?: Duration | Deadline | undefined
  /** Ends the wait before the deadline. */
  signal?: AbortSignal | undefined
}

/** @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`. */
export function timeoutOf(options: AcquireOptions | undefined, fallbackMs: number): number {
  return options?.timeout === undefined ? fallbackMs : parsed(options.timeout, 'timeout')
}

/** @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`. */
export function deadlineOf(clock: Clock, options: StopOptions | undefined, fallbackMs: number): Deadline {
  const deadline = options?.deadline
  if (typeof deadline === 'object') return deadline
  return new Deadline(clock, deadline === undefined ? fallbackMs : parsed(deadline, 'deadline'))
}

function parsed(value: Duration, name: string): number {
  const ms = parseDuration(value)
  if (ms !== undefined) return ms
  throw new BreakwaterError('usage', 'POOL_OPTIONS_INVALID', `${name} must be a duration such as 250 or '30s'`)
}
