/** What a run has found, as it is written to the results file: raw rounds and what they add up to. */

import type { CacheResults } from '../cache/results.js'
import type { ContenderName } from '../contenders/index.js'
import type { FleetResults, Simulated } from '../fleet/results.js'
import type { GuardResults } from '../guard/results.js'
import type { SoakResults } from '../guard-soak/results.js'
import type { Percentiles } from '../load/latency.js'
import type { PoolResults } from '../pool/results.js'
import type { RollingResults } from '../rolling/results.js'
import type { SizingResults } from '../sizing/results.js'
import type { Environment } from './environment.js'
import type { ScenarioSummary } from './summary.js'

/** One measured window of one contender. */
export interface Round {
  readonly contender: ContenderName
  /** From 1. */
  readonly round: number
  /** From the first request to the last answer, and no less than the planned window. */
  readonly seconds: number
  /** Transactions of the contender's database, from the database's own statistics. */
  readonly databaseQueries: number
  readonly databaseQps: number
  readonly requestsPerSecond: number
  readonly asked: number
  readonly answered: number
  /** Answers that differ from the table. */
  readonly wrong: number
  readonly errors: number
  readonly errorMessages: Readonly<Record<string, number>>
  /** CPU time of all instances. */
  readonly cpuMs: number
  /** From the intended arrival to the answer. */
  readonly latencyMs: Percentiles
  /** By how much requests were sent late, which is the load generator's own part of the latency. */
  readonly latenessMs: Percentiles
  /** HdrHistogram of the latencies in microseconds, V2 compressed, base64. */
  readonly latencyHistogram: string
}

export interface ScenarioResult {
  readonly name: string
  readonly shows: string
  /** Requests a second offered, all instances together. */
  readonly rate: number
  readonly instances: number
  readonly ttlMs: number
  /** In the order in which they ran. */
  readonly rounds: readonly Round[]
  /** The share of the baseline's database QPS that Breakwater must take away. */
  readonly expectedReduction?: number
  /** Why the scenario ended early, if it did. */
  readonly failure?: string
}

export interface Results {
  /** ISO 8601. */
  readonly startedAt: string
  readonly seconds: number
  readonly seed: number
  readonly full: boolean
  readonly environment: Environment
  readonly scenarios: readonly (ScenarioResult & { readonly summary: ScenarioSummary })[]
  /** If pools were compared. */
  readonly pool?: PoolResults
  /** If fleets were run, or simulated. */
  readonly fleet?: FleetResults
  readonly simulatedFleets?: readonly Simulated[]
  /** If sizes of a pool were compared. */
  readonly sizing?: SizingResults
  readonly cache?: CacheResults
  /** If the guard was measured. */
  readonly guard?: GuardResults
  /** If the guard was put through its faults. */
  readonly guardSoak?: SoakResults
  /** If services were restarted under load. */
  readonly rolling?: RollingResults
}
