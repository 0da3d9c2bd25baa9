/** What a pool counts, and what it reports while it works. */

import type { RetireReason } from './slot.js'

/** The pool at one instant, and what it has counted since it was made. A plain object of its own. */
export interface ResourcePoolStats {
  readonly name: string
  readonly idle: number
  /** With a caller, or on the way to one. */
  readonly leased: number
  readonly creating: number
  /** Leased ones past `maxLifetime`, to be destroyed when they are released. */
  readonly expired: number
  /** Callers that wait. */
  readonly pending: number
  readonly min: number
  readonly max: number
  readonly acquired: number
  readonly created: number
  readonly createFailed: number
  readonly acquireTimedOut: number
  readonly acquireAborted: number
  /** Callers refused at once: too many wait, or the pool is stopping. */
  readonly acquireRejected: number
  /** Resources destroyed, by reason. */
  readonly retired: Readonly<Record<RetireReason, number>>
}

/** The counters of `ResourcePoolStats` while they are counted. */
export class Counters {
  acquired = 0
  created = 0
  createFailed = 0
  acquireTimedOut = 0
  acquireAborted = 0
  acquireRejected = 0
  readonly retired: Record<RetireReason, number> = {
    idle: 0,
    lifetime: 0,
    unhealthy: 0,
    leaked: 0,
    surplus: 0,
    drained: 0,
  }
}

/** What a resource pool reports. `pool` is the pool's name, an `error` that of whoever failed. */
export type ResourcePoolEvent =
  | { readonly type: 'created'; readonly pool: string; readonly elapsedMs: number }
  | { readonly type: 'create-failed'; readonly pool: string; readonly elapsedMs: number; readonly error: unknown }
  | { readonly type: 'retired'; readonly pool: string; readonly reason: RetireReason }
  | { readonly type: 'destroy-failed'; readonly pool: string; readonly error: unknown }
  | { readonly type: 'acquire-timed-out'; readonly pool: string; readonly elapsedMs: number }
  /** The deadline of a stop has passed: what is counted here was rejected, taken away, or given up. */
  | {
      readonly type: 'stop-forced'
      readonly pool: string
      readonly pending: number
      readonly leased: number
      readonly creating: number
    }
