/** What the parent may ask of an instance of the soak. */

import type { GuardStats } from '@breakwater/cache'

export interface SoakAssignment {
  /** Which of the instances this is, counted through, those that took another's place included. */
  readonly instance: number
  readonly postgresUrl: string
  readonly redisUrl: string
  readonly namespace: string
  readonly seed: number
}

/** What an instance has seen; plain data, added up by the parent. */
export interface SoakCounts {
  /** Answers of the guard that were compared with the table: for ids that exist, and for ids that do not. */
  readonly existing: number
  readonly absent: number
  /** Denied, though the row was committed before the question and still is there. */
  readonly falseNegatives: number
  /** Let through, though it was never there. */
  readonly letThrough: number
  /** Reads of the whole way, and those that answered otherwise than the table. */
  readonly reads: number
  readonly wrongReads: number
  readonly inserted: number
  readonly rolledBack: number
  readonly deleted: number
  /** Adds that were refused, so that their transaction was rolled back. */
  readonly refused: number
}

export interface SoakState {
  readonly counts: SoakCounts
  /** How long adds took; encoded. */
  readonly addLatency: string
  readonly guard: GuardStats
  /** Why rows were denied, if any were. */
  readonly evidence: readonly string[]
}

export interface SoakCalls {
  /** Opens the cache; resolves when its guard is ready. */
  open(assignment: SoakAssignment): Promise<void>
  /** Begins with the load. */
  begin(): Promise<void>
  state(): Promise<SoakState>
  rebuild(): Promise<void>
  close(): Promise<void>
}
