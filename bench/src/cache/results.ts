/** What a comparison of caches has found, as it is written to the results file. */

import type { Compared } from '../pool/results.js'
import type { Target } from '../report/target.js'
import type { CacheContenderName } from './contenders/index.js'
import type { ReadOutcome } from './protocol.js'
import type { StaleReads } from './stale-reads.js'

/** One measured window of one contender. */
export interface CacheRound {
  readonly part: string
  readonly contender: CacheContenderName
  /** From 1. */
  readonly round: number
  /** By unit, such as `hits/s`. */
  readonly figures: Readonly<Record<string, number>>
}

/** All windows of one contender in one part. */
export interface CacheSummary {
  readonly part: string
  readonly contender: CacheContenderName
  /** Each with what it is of the part's first contender, in the same round. */
  readonly figures: Readonly<Record<string, Compared>>
}

/** What happens to callers while Redis is frozen. */
export interface FrozenRedis {
  readonly contender: CacheContenderName
  /** A key that was read before; then two that were not. */
  readonly warm: ReadOutcome
  readonly cold: ReadOutcome
  readonly next: ReadOutcome
}

/** Reads that returned an older version than one whose invalidation had been acknowledged before they were asked for. */
export interface StaleAudit extends StaleReads {
  readonly contender: CacheContenderName
  readonly reads: number
  readonly writes: number
  readonly errors: number
  /** For how long one of the processes was not let run, at most. */
  readonly stoodStillMs: number
}

export interface CacheResults {
  readonly rounds: readonly CacheRound[]
  readonly summary: readonly CacheSummary[]
  readonly frozen: readonly FrozenRedis[]
  readonly audits: readonly StaleAudit[]
  /** Of what was measured. */
  readonly targets: readonly Target[]
  /** Why the comparison ended early, if it did. */
  readonly failure?: string
}
