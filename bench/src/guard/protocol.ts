/** What the parent may ask of a process that measures a guard. */

/** The rows' ids are the multiples of it. */
export const STEP = 7

interface GuardPlace {
  readonly postgresUrl: string
  readonly redisUrl: string
  readonly namespace: string
}

/** How a filter came to be there. */
export interface FillOutcome {
  readonly ms: number
  readonly entries: number
  /** Whether this process scanned the table, or fetched what another one had built. */
  readonly builds: number
  /** The most that the process held above what it held before, in bytes. */
  readonly memoryBytes: number
  /** The longest time for which the event loop did nothing else, in ms. */
  readonly blockedMs: number
  readonly bitsPerKey: number
  /** By the formula for so many keys. */
  readonly expectedErrorRate: number
}

/** Operations a second of one core, by CPU time. */
export interface RateOutcome {
  readonly absent: number
  readonly existing: number
  readonly adds: number
  /** Part of absent keys that were let through. */
  readonly errorRate: number
}

/** Requests a second of one process under 64 callers. */
export interface AttackOutcome {
  /** For ids that do not exist, each asked for once. */
  readonly absent: number
  /** For ids that exist, drawn from all, most of them not cached yet; and from a few that are all in memory. */
  readonly existing: number
  readonly warm: number
  readonly distinct: number
  /** Queries that the attack has cost the database, a second. */
  readonly databaseQps: number
  /** Those of them that are no false positives of the filter: audits. */
  readonly beyondErrorRateQps: number
  /** What the process holds after the attack and did not before. */
  readonly heapGrowthBytes: number
}

export interface GuardCalls {
  /** Opens the connections. */
  open(place: GuardPlace): Promise<void>
  fill(): Promise<FillOutcome>
  attack(durationMs: number): Promise<AttackOutcome>
  /** Of a guard in this process alone, and of bloom-filters as it comes. */
  rates(): Promise<{ readonly guard: RateOutcome; readonly stock: RateOutcome }>
  close(): Promise<void>
}
