/** What the parent may ask of the process in which a contender runs. */

import type { ClosedOutcome } from '../load/closed-loop.js'
import type { Outcome } from '../load/open-loop.js'
import type { Closable } from '../process/calls.js'
import type { PoolContenderName } from './contenders/index.js'
import type { LeaseOrder, LeaseOutcome } from './instance/lease-cost.js'

interface PoolAssignment {
  readonly contender: PoolContenderName
  /** Without it the contender lends dummies. */
  readonly postgresUrl?: string | undefined
  readonly connections: number
}

export interface QueryOrder {
  readonly seed: number
  /** Tells this load's random numbers from every other's; the same for each contender, so all get the same queries. */
  readonly purpose: string
  readonly callers: number
  readonly durationMs: number
  /** Of queries that keep the server busy for 50 ms, 0 to 1; only the others are timed. Default 0. */
  readonly slowShare?: number | undefined
}

export interface StreamOrder {
  readonly seed: number
  /** Queries a second, sent whether or not earlier ones are answered. */
  readonly rate: number
  readonly durationMs: number
}

/** By the machine's clock. */
export interface StreamAnswer {
  readonly sentAt: number
  readonly answeredAt: number
}

export interface StreamOutcome extends Outcome {
  readonly answers: readonly StreamAnswer[]
}

export interface FailingOutcome {
  readonly ms: number
  /** Queries that the server refused, as it should refuse each of them. */
  readonly refused: number
  /** Backends that have run at least one of them. */
  readonly connections: number
}

export interface EndOutcome {
  /** Queries that ran when the end began, and those of them whose caller has heard of it. */
  readonly running: number
  readonly settled: number
  /** Whether the pool has said that it has ended. */
  readonly ended: boolean
}

/** `open` first, `close` last. */
export interface PoolCalls extends Closable {
  /** Opens the contender with all its connections. */
  open(assignment: PoolAssignment): Promise<void>
  leases(order: LeaseOrder): Promise<LeaseOutcome>
  warmUp(order: Pick<QueryOrder, 'seed' | 'callers'>): Promise<void>
  queries(order: QueryOrder): Promise<ClosedOutcome>
  stream(order: StreamOrder): Promise<StreamOutcome>
  fail(order: { readonly queries: number; readonly callers: number }): Promise<FailingOutcome>
  /** Begins queries that take a minute. */
  beginSlow(order: { readonly queries: number }): Promise<void>
  forceEnd(order: { readonly waitMs: number }): Promise<EndOutcome>
}
