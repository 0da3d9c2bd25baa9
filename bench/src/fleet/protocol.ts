/** What the parent may ask of an instance of the fleet. */

import type { Closable } from '../process/calls.js'
import type { FleetContenderName } from './results.js'

export interface InstanceCounts {
  readonly answered: number
  /** Queries that failed, of which the server refused a connection. */
  readonly errors: number
  /** Connections that the server refused, whether or not a query failed for it. */
  readonly refused: number
  /** Connections that it has and, of a fleet that shares, that hold a slot. */
  readonly held: number
  /** Statements that its coordination has cost. */
  readonly looks: number
}

/** `open` first, `close` last. */
export interface FleetCalls extends Closable {
  /** Resolves with its process id. */
  open(order: { readonly contender: FleetContenderName; readonly postgresUrl: string }): Promise<number>
  /** Sets how many callers ask, each of them again when it has its answer, for 10 ms of the server's time. */
  load(order: { readonly callers: number }): Promise<void>
  counts(): Promise<InstanceCounts>
  /** Ends the pool when all who have asked are served; resolves to what was counted. */
  finish(): Promise<InstanceCounts>
}
