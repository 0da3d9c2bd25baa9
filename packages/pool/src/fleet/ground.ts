/** What a member of a fleet stands on: its pool, and that pool's way with its connections. */

import type { Clock } from '@breakwater/kernel'
import type { RetireReason } from '../engine/slot.js'
import type { Ask } from './ledger.js'
import type { FleetEvent } from './telling.js'

export interface Ground<C> {
  readonly name: string
  readonly clock: Clock
  /** From 0 to 1, exclusive. */
  readonly random: () => number
  /** Connections that the pool has use for, up to its own limit. */
  demand(): number
  /** Sets how many connections the pool may have. */
  grant(connections: number): void
  /** Runs a statement on a connection that nobody else uses. Bounded: a connection that does not answer is lost. */
  ask(connection: C, text: string): ReturnType<Ask>
  /** Whether the connection still stands. */
  isUsable(connection: C): boolean
  /** The process id that the server, or a pooler before it, gave when connecting. */
  processIdOf(connection: C): number | undefined
  /** Lends an idle connection, or that one if it is idle, until `release`. */
  borrow(connection?: C): { readonly value: C; release(): void; retire(reason: RetireReason): void } | undefined
  emit(event: FleetEvent): void
}
