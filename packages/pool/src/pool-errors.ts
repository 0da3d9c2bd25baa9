/** Errors of the drop-in: pg-pool's own words, so that code which compares messages goes on working. */

import { BreakwaterError, isBreakwaterError } from '@breakwater/kernel'
import { AcquireTimeoutError } from './engine/errors.js'

export const ENDED = 'Cannot use a pool after calling end on the pool'
export const ENDED_TWICE = 'Called end on pool more than once'
export const RELEASED_TWICE = 'Release called on client which has already been released to the pool.'
export const FUNCTION_AS_QUERY = 'Passing a function as the first parameter to pool.query is not supported'
const ACQUIRE_TIMEOUT = 'timeout exceeded when trying to connect'
export const CONNECTION_LOST = 'Connection terminated unexpectedly'
const CONNECT_TIMEOUT = 'Connection terminated due to connection timeout'

export function stopped(message: string): BreakwaterError {
  return new BreakwaterError('rejected', 'POOL_STOPPING', message, { retryable: false })
}

export function usage(code: string, message: string): BreakwaterError {
  return new BreakwaterError('usage', code, message)
}

/** The other end of a connection is gone without a word. Its query may have run. */
export function connectionDead(name: string, silentMs: number): BreakwaterError {
  const elapsedMs = Math.round(silentMs)
  const message = `pool "${name}": no byte from the server in ${elapsedMs} ms, while it says on another connection that it has nothing left to do for this one; the connection is closed, its query may have run`
  const error = new BreakwaterError('timeout', 'POOL_CONNECTION_DEAD', message, { elapsedMs, retryable: false })
  return Object.assign(error, { mayHaveRun: true })
}

/** A transaction was begun in the middle of the queries of others; with its connection it is undone. */
export function laneTainted(name: string): BreakwaterError {
  const message = `pool "${name}": someone has begun a transaction on a client that he had released, or in a listener of the pool, while this query ran on it; the connection is closed, and what the query has changed is undone, unless that transaction was committed`
  const error = new BreakwaterError('failed', 'POOL_CONNECTION_TAINTED', message, { retryable: false })
  return Object.assign(error, { mayHaveRun: true })
}

/** Returns an error of the same kind with all that is on it, for one of several callers who would else share it. */
export function copyOf(error: Error): Error {
  const copy = new Error(error.message)
  Object.setPrototypeOf(copy, Object.getPrototypeOf(error))
  return Object.assign(copy, error)
}

/** Puts the engine's error into pg-pool's words; a driver's own comes back as it is. */
export function inDriverWords(error: unknown): unknown {
  if (!isBreakwaterError(error)) return error
  if (error instanceof AcquireTimeoutError) {
    const { cause, elapsedMs = 0, stats } = error
    return new AcquireTimeoutError(ACQUIRE_TIMEOUT, { cause, elapsedMs, stats })
  }
  if (error.code === 'POOL_CREATE_TIMEOUT') {
    return new BreakwaterError('timeout', error.code, CONNECT_TIMEOUT, {
      cause: new Error(CONNECTION_LOST, { cause: error }),
      elapsedMs: error.elapsedMs ?? 0,
    })
  }
  return error
}

/** Gives an error that was made in a socket's or a timer's callback the stack of the caller who awaits it, as pg does. */
export function traced(error: unknown): unknown {
  if (error instanceof Error) Error.captureStackTrace(error)
  return error
}
