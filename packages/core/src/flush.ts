/** Sends off what is still held back of what was logged, measured and traced. */

import type { Logger, StepContext } from '@breakwater/kernel'

type Flush = (context: StepContext) => unknown
/** pino's takes a callback, others' return a promise, and `console` has none. */
type LoggerFlush = (done?: (error?: Error) => void) => unknown

/** Returns what flushes the logger, if it is one that holds anything, and calls `flush`; undefined if there is neither. */
export function flushOf(logger: Logger | undefined, flush: Flush | undefined): Flush | undefined {
  const own = (logger as { flush?: LoggerFlush } | undefined)?.flush
  const hasOwn = typeof own === 'function'
  if (!hasOwn && flush === undefined) return undefined
  return async context => {
    await Promise.all([flush?.(context), hasOwn && flushed(logger as Logger, own)])
  }
}

async function flushed(logger: Logger, flush: LoggerFlush): Promise<void> {
  if (flush.length === 0) await flush.call(logger)
  else {
    await new Promise<void>((resolve, reject) => {
      flush.call(logger, error => (error ? reject(error) : resolve()))
    })
  }
}
