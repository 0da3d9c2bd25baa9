/** Tells a tracing channel of each caller who has to wait for a connection, since none was idle. */

import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'

/** The channels are `tracing:breakwater:acquire:start`, `:end`, `:asyncStart`, `:asyncEnd` and `:error`. */
export interface AcquireMessage {
  /** The pool's name. */
  readonly pool: string
  /** Set before `error` and `asyncEnd` are told, if the caller has waited in vain. */
  error?: unknown
}

const channel: TracingChannel<AcquireMessage, AcquireMessage> = tracingChannel<AcquireMessage, AcquireMessage>(
  'breakwater:acquire',
)

/** Calls `wait` and settles as it does. */
export function tracedWait<T>(pool: string, wait: () => Promise<T>): Promise<T> {
  return channel.hasSubscribers ? channel.tracePromise(wait, { pool }) : wait()
}
