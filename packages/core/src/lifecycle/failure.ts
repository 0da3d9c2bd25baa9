/** What went wrong in which component, and the one error that a whole start or stop ends in. */

import { BreakwaterError, type ErrorKind } from '@breakwater/kernel'
import type { StepPhase } from '../timeline/record.js'
import type { LeftWork } from '../work/work-list.js'
import type { Leftovers } from './events.js'

export interface Failure {
  /** Or what was waited for: `in-flight`, `background`. */
  readonly component: string
  readonly phase: StepPhase
  /** Ms from the beginning of the step. */
  readonly elapsedMs: number
  /** The hook's own error, untouched, or ours when it ran out of time. */
  readonly error: unknown
  /** Whether the hook had not ended when it was given up on: what it holds is still open. */
  readonly open: boolean
}

/**
 * A start or a stop that did not go well: code `INIT_FAILED`, `INIT_CANCELLED` or `DISPOSE_INCOMPLETE`.
 * `cause` is the first error, `errors` are all of them, as in an `AggregateError`, and `failures` says where each arose.
 */
export class LifecycleError extends BreakwaterError {
  override readonly name = 'LifecycleError'
  readonly errors: readonly unknown[]
  declare readonly failures: readonly Failure[]
  /** What was not over when force began, of a stop that was not over in time. */
  declare readonly left?: Leftovers

  constructor(
    kind: ErrorKind,
    code: string,
    message: string,
    options: { cause: unknown; failures: readonly Failure[]; elapsedMs: number; left?: Leftovers | undefined },
  ) {
    // The outcome is final: the same call gives it again.
    super(kind, code, message, { ...options, retryable: false })
    const errors = options.failures.map(each => each.error)
    this.errors = errors.includes(options.cause) ? errors : [options.cause, ...errors]
    // Not printed: it would show every error a third time.
    Object.defineProperty(this, 'failures', { value: options.failures })
    if (options.left !== undefined) Object.defineProperty(this, 'left', { value: options.left })
  }
}

/** Returns the error of a hook whose deadline passed; `cause` is what the hook then rejected with, if it said. */
export function hookTimeout(name: string, phase: StepPhase, elapsedMs: number, cause?: unknown): BreakwaterError {
  const message = `${phase} of "${name}" was not over after ${Math.round(elapsedMs)} ms`
  const options = { elapsedMs, ...(cause !== undefined && { cause }) }
  return new BreakwaterError('timeout', `${phase.toUpperCase()}_TIMEOUT`, message, options)
}

/** Returns the error of a hook that went on although its signal was aborted. */
export function hookRunsOn(name: string, phase: StepPhase, elapsedMs: number): BreakwaterError {
  const message = `${phase} of "${name}" still runs after ${Math.round(elapsedMs)} ms although its signal is aborted`
  return new BreakwaterError('timeout', `${phase.toUpperCase()}_RUNS_ON`, message, { elapsedMs })
}

/** Returns the error of a part that cannot be stopped yet: its start, long given up on, still runs. */
export function stopPostponed(name: string): BreakwaterError {
  const message = `"${name}" still runs its start although the signal is aborted; it will be stopped when that is over`
  return new BreakwaterError('timeout', 'STOP_POSTPONED', message)
}

/** Returns the error of a stop that did not see the end of work that was under way. */
export function workLeft(name: string, left: readonly LeftWork[]): BreakwaterError {
  const message = `${name}: ${left.length} not over in time: ${listWork(left)}`
  return new BreakwaterError('timeout', 'WORK_LEFT', message, { elapsedMs: left[0]?.ageMs ?? 0 })
}

const NAMED = 5

/** Names the oldest of what is under way, such as `GET /orders (4800 ms), import (900 ms) and 3 more`. */
export function listWork(left: readonly LeftWork[]): string {
  const named = left.slice(0, NAMED).map(({ name, ageMs }) => `${name} (${ageMs} ms)`)
  return `${named.join(', ')}${left.length > NAMED ? ` and ${left.length - NAMED} more` : ''}`
}

/** Says in a word why: a code or a class name. Never the message of somebody else's error, which may hold a secret. */
export function reasonOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return typeof error
  const { code, name } = error as { code?: unknown; name?: unknown }
  if (typeof code === 'string') return code
  return typeof name === 'string' ? name : 'Error'
}

/** Lists failures in one line, such as `postgres (start, 12 ms: ECONNREFUSED)`. */
export function listFailures(failures: readonly Failure[]): string {
  return failures
    .map(each => `${each.component} (${each.phase}, ${Math.round(each.elapsedMs)} ms: ${reasonOf(each.error)})`)
    .join(', ')
}
