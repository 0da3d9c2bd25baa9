/** What the drop-in reports and counts beyond the engine it stands on. */

import type { ResourcePoolEvent, ResourcePoolStats } from './engine/stats.js'

export type PoolEvent =
  | ResourcePoolEvent
  /** A connection was lost, `inUse` or idle; nobody has to do anything about it. */
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

export interface PoolStats extends ResourcePoolStats {
  /** Connections lost, idle or in use. */
  readonly lost: number
  /** Clients that were released inside a transaction. */
  readonly leftInTransaction: number
  /** Queries that had not run when their connection was lost, and were tried once more. */
  readonly retried: number
}
