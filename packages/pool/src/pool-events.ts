/** What the drop-in reports and counts beyond the engine it stands on. */

import type { ResourcePoolEvent, ResourcePoolStats } from './engine/stats.js'

export type PoolEvent =
  | ResourcePoolEvent
  /** A connection was lost, `inUse` or idle; nobody has to do anything about it. */
  | { readonly type: 'connection-lost'; readonly pool: string; readonly inUse: boolean; readonly error: unknown }
  /** A client was released inside a transaction: the application's bug. If not `rolledBack` its connection was retired. */
  | { readonly type: 'transaction-left-open'; readonly pool: string; readonly rolledBack: boolean }

export interface PoolStats extends ResourcePoolStats {
  /** Connections lost, idle or in use. */
  readonly lost: number
  /** Clients that were released inside a transaction. */
  readonly leftInTransaction: number
}
