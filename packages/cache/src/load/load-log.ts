/** How long calls of loaders take: counted by space in plain fields, and told to a tracing channel. Never with a key. */

import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import type { Clock, Events } from '@breakwater/kernel'
import type { SpaceStats } from '../space-stats.js'

/** The channels are `tracing:breakwater:cache:load:start`, `:end`, `:asyncStart`, `:asyncEnd` and `:error`. */
export interface LoadMessage {
  readonly space: string
  /** Set before `error` and `asyncEnd` are told, if it failed. */
  error?: unknown
}

/** One call of a loader that is over. */
export interface CacheDuration {
  readonly type: 'load'
  readonly space: string
  readonly ms: number
  readonly failed: boolean
}

export interface LoadLog {
  readonly space: string
  readonly clock: Clock
  readonly stats: SpaceStats
  readonly durations: Events<CacheDuration>
}

const channel: TracingChannel<LoadMessage, LoadMessage> = tracingChannel<LoadMessage, LoadMessage>(
  'breakwater:cache:load',
)

/** Calls the loader and settles as it does. */
export async function loggedLoad<T>(log: LoadLog, load: () => Promise<T>): Promise<T> {
  const { space, clock, stats, durations } = log
  const startedMs = clock.now()
  let failed = true
  try {
    const value = await (channel.hasSubscribers ? channel.tracePromise(load, { space }) : load())
    failed = false
    return value
  } finally {
    const ms = clock.now() - startedMs
    stats.loadTime.record(ms)
    if (durations.hasListeners) durations.emit({ type: 'load', space, ms, failed })
  }
}
