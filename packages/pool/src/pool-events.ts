/** What the drop-in reports and counts beyond the engine it stands on. */

import type { Durations } from '@breakwater/kernel'
import type { ResourcePoolDuration, ResourcePoolEvent, ResourcePoolStats } from './engine/stats.js'
import type { FleetEvent, FleetStats } from './fleet/telling.js'
import type { LaneStats } from './lanes/lanes.js'
import type { QueryDuration, QueryUnderWay, ServerAddress } from './queries/query-log.js'
import type { SizedEvent, SizingStats } from './sizing/capacity.js'

export type PoolEvent =
  | ResourcePoolEvent
  | FleetEvent
  /** The pool has a size of its own finding, the first or another one; with the option `sizing` alone. */
  | SizedEvent
  /**
   * A connection was lost, `inUse` or idle; nobody has to do anything about it. One that gave no answer when it was asked
   * whether it is still there (`POOL_VALIDATE_TIMEOUT`) was idle.
   */
  | {
      readonly type: 'connection-lost'
      readonly pool: string
      readonly inUse: boolean
      readonly error: unknown
      /** Of its backend. */
      readonly processId: number | undefined
      /** Where its user acquired it, one frame a line; with `leakWarningAfter` alone. */
      readonly acquiredAt: string | undefined
    }
  /** A client was released inside a transaction: the application's bug. If not `rolledBack` its connection was retired. */
  | {
      readonly type: 'transaction-left-open'
      readonly pool: string
      readonly rolledBack: boolean
      /** Where it was acquired, one frame a line; with `leakWarningAfter` alone. */
      readonly acquiredAt: string | undefined
    }
  /** The server does not keep prepared statements as the pool has seen by that error: no more are prepared, for good. */
  | { readonly type: 'names-off'; readonly pool: string; readonly code: string }

/** What is asked of a pool at this moment. */
export interface PoolInUse {
  /** Queries under way, the oldest first. */
  readonly queries: readonly QueryUnderWay[]
  /** Clients with the application, those of `pool.query` included. */
  readonly clients: readonly {
    readonly heldMs: number
    /** Of its backend. */
    readonly processId?: number
    /** Where it was acquired, one frame a line; with `leakWarningAfter` alone. */
    readonly acquiredAt?: string
  }[]
  /** Callers that wait for a client. */
  readonly pending: number
}

export interface PoolStats extends ResourcePoolStats {
  /**
   * Connections lost, idle or in use: the server has ended them, their socket has failed, or they gave no answer when they
   * were asked. All are in `retired.unhealthy` too, beside those that were closed on a doubt.
   */
  readonly lost: number
  /** Clients that were released inside a transaction. */
  readonly leftInTransaction: number
  /** Queries that were tried once more when their connection was lost: they had not run, or only read. */
  readonly retried: number
  /** How queries share connections; undefined where they do not. */
  readonly lanes: LaneStats | undefined
  /** How long queries took that succeeded, from when they had a connection; also those on clients that were checked out. */
  readonly query: Durations
  /** How long those took that failed, by SQLSTATE or by the code or name of their error. */
  readonly queryFailed: Readonly<Record<string, Durations>>
  /** Where the pool's connections lead; empty until one was opened. */
  readonly server: ServerAddress
  /** With the option `fleet` alone. */
  readonly fleet?: FleetStats | undefined
  /** With the option `sizing` alone. */
  readonly sizing?: SizingStats | undefined
}

/** One duration as it is counted, for those who keep histograms of their own. */
export type PoolDuration = ResourcePoolDuration | QueryDuration
