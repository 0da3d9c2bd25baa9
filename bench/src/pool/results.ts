/** What a comparison of pools has found, as it is written to the results file: raw rounds and what they add up to. */

import type { Percentiles } from '../load/latency.js'
import type { Spread } from '../report/spread.js'
import type { Target } from '../report/target.js'
import type { PoolContenderName } from './contenders/index.js'
import type { EndOutcome, FailingOutcome } from './protocol.js'

/** One measured window of one contender. */
export interface Round {
  readonly contender: PoolContenderName
  /** From 1. */
  readonly round: number
  readonly callers: number
}

/** Connections are leased for one caller, dummies for more. */
export interface LeaseRound extends Round {
  readonly leases: number
  /** CPU time for one acquire and release. */
  readonly cpuNs: number
}

/** What differs from ten connections to a server on this machine that is asked for rows by their key. */
export interface Setting {
  /** Of the queries, that were slow; the latencies are those of the others. */
  readonly slowShare?: number
  /** Ms added to each round trip. */
  readonly addedMs?: number
  readonly connections?: number
}

export interface QueryRound extends Round {
  readonly setting: Setting
  readonly answered: number
  readonly perSecond: number
  /** CPU time of the contender's process for one query. */
  readonly cpuUs: number
  readonly latencyMs: Percentiles
  /** HdrHistogram of the latencies in microseconds, V2 compressed, base64. */
  readonly latencyHistogram: string
  readonly wrong: number
  readonly errors: number
  readonly errorMessages: Readonly<Record<string, number>>
}

/** One restart of the server under a steady stream of queries. */
export interface Restart {
  /** From the server accepting connections to the first answer to a query of the outage; null if there was none. */
  readonly recoveredMs: number | null
  readonly asked: number
  readonly errors: number
  readonly errorMessages: Readonly<Record<string, number>>
}

export interface ForcedEnd extends EndOutcome {
  /** Backends of the contender that the server still had then. */
  readonly backends: number
}

export interface Faults {
  readonly contender: PoolContenderName
  readonly failing: FailingOutcome & { readonly queries: number }
  readonly restarts: readonly Restart[]
  readonly forcedEnd: ForcedEnd
}

/** A figure over all rounds, and over those in which pg.Pool was measured too what it is there of pg.Pool's. */
export interface Compared {
  readonly value: Spread
  readonly ratio?: Spread
}

export interface LeaseSummary {
  readonly contender: PoolContenderName
  readonly callers: number
  readonly cpuNs: Compared
}

export interface QuerySummary {
  readonly contender: PoolContenderName
  readonly callers: number
  readonly setting: Setting
  readonly perSecond: Compared
  readonly cpuUs: Compared
  /** Ms. */
  readonly p50: Compared
  readonly p99: Compared
  readonly p999: Compared
  /** Over all rounds. */
  readonly wrong: number
  readonly errors: number
}

export interface PoolResults {
  readonly leases: { readonly rounds: readonly LeaseRound[]; readonly summary: readonly LeaseSummary[] }
  readonly queries: { readonly rounds: readonly QueryRound[]; readonly summary: readonly QuerySummary[] }
  readonly faults: readonly Faults[]
  /** Of what was measured. */
  readonly targets: readonly Target[]
  /** Why the comparison ended early, if it did. */
  readonly failure?: string
}
