/** Tells a tracing channel of each operation of Redis: by name, never with a key. */

import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'

/** The channels are `tracing:breakwater:cache:redis:start`, `:end`, `:asyncStart`, `:asyncEnd` and `:error`. */
export interface RedisMessage {
  /** A script's name, such as `getOrLease`, or a command's. */
  readonly operation: string
  /** Set before `error` and `asyncEnd` are told, if it failed, was not answered in time, or was not tried. */
  error?: unknown
}

const channel: TracingChannel<RedisMessage, RedisMessage> = tracingChannel<RedisMessage, RedisMessage>(
  'breakwater:cache:redis',
)

/** Runs an operation and settles as it does. */
export function tracedOperation<T>(operation: string, run: () => Promise<T>): Promise<T> {
  return channel.hasSubscribers ? channel.tracePromise(run, { operation }) : run()
}
