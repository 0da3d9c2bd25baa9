/**
 * Which trace the work at hand belongs to: OpenTelemetry's, where `openTelemetry()` has been called, else the one that
 * `withTrace` has begun. In `await`s and in callbacks of pools of ours alike.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'

/** As W3C Trace Context has them: lower hex of 32, 16 and 2 digits. */
export interface TraceIds {
  readonly traceId: string
  readonly spanId: string
  readonly flags: string
}

const storage = new AsyncLocalStorage<TraceIds>()
let sources: readonly (() => TraceIds | undefined)[] = []

export function currentTrace(): TraceIds | undefined {
  for (const source of sources) {
    const ids = source()
    if (ids !== undefined) return ids
  }
  return storage.getStore()
}

/** Asks `source` first from now on, until the returned function is called. */
export function addTraceSource(source: () => TraceIds | undefined): () => void {
  sources = [source, ...sources]
  return () => {
    sources = sources.filter(each => each !== source)
  }
}

/**
 * Calls `fn` in the trace that a request came with, or in a new one if it came with none that is valid.
 * @param traceparent the header of that name.
 */
export function withTrace<T>(traceparent: string | undefined, fn: () => T): T {
  const parent = parseTraceparent(traceparent)
  const traceId = parent?.traceId ?? randomBytes(16).toString('hex')
  return storage.run({ traceId, spanId: randomBytes(8).toString('hex'), flags: parent?.flags ?? '01' }, fn)
}

/** Returns the header to send along. */
export function traceparentOf({ traceId, spanId, flags }: TraceIds): string {
  return `00-${traceId}-${spanId}-${flags}`
}

// Source: W3C Trace Context, 3.2.2; a later version may have more at its end.
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/

function parseTraceparent(header: string | undefined): TraceIds | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(header ?? '') ?? []
  return traceId && spanId && flags ? { traceId, spanId, flags } : undefined
}
