/** What a space asks of a guard, and what it hands it. */

import type { Clock, Logger } from '@breakwater/kernel'
import type { CacheKey } from '../keys.js'
import type { Shard } from '../redis/shards.js'

/** Resolves when every transaction that is open at the call has ended. */
export type Settled = (context: { signal: AbortSignal }) => Promise<void>

export interface GuardSurroundings {
  readonly space: string
  /** Where its bits lie; none: the guard lives in this process alone. */
  readonly shard: Shard | undefined
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger | undefined
  readonly settled: Settled | undefined
  /** On which this instance is woken. */
  readonly wakeChannel: string
  /** Removes what the cache knows of a key, everywhere, and keeps what is being loaded from being kept; as `delete` does. */
  forget(key: string): Promise<void>
}

/** A guard as declared with a space's options; it is bound once, to that space. */
export interface Guard {
  bind(surroundings: GuardSurroundings): BoundGuard
}

/** What a guard has counted since it was made. */
export interface GuardStats {
  readonly state: BoundGuard['state']
  /** Keys in the filter, its size in bits, and the part of absent keys that it lets through at that, 0 to 1; not known before it is ready. */
  readonly entries: number
  readonly bits: number
  readonly errorRate: number
  /** Answers "does not exist": by the copy alone, and by asking Redis. */
  readonly deniedHere: number
  readonly deniedShared: number
  /** Reads let through, since Redis did not answer in time. */
  readonly unanswered: number
  /** Times, and ms in all, that every read was let through after the guard had been ready once. */
  readonly openings: number
  readonly openMs: number
  /** Times that the filter was built by this instance. */
  readonly builds: number
  /** Adds that Redis has not acknowledged yet. */
  readonly unacknowledged: number
  /** Answers looked up in the database, and those of them that were wrong: 0, or somebody inserts rows past the guard. */
  readonly audits: number
  readonly falseNegatives: number
}

export interface BoundGuard {
  /** `building` and `suspect`: every read is let through. */
  readonly state: 'building' | 'ready' | 'suspect'
  readonly stats: GuardStats
  /** False only if the key certainly does not exist; a promise where that takes a look at Redis. Never rejects. */
  mayContain(key: string): boolean | Promise<boolean>
  /**
   * Records a key that is about to exist: call it in the transaction that inserts the row, before its COMMIT (what is
   * rolled back only leaves a read that is let through). When it resolves, every instance lets the key through.
   *
   * Without an acknowledgement from Redis it resolves once every instance lets every read through, after 4 s at the latest,
   * and goes on trying.
   *
   * @throws {BreakwaterError} `GUARD_ADD_UNACKNOWLEDGED` (kind rejected): Redis does not know of this instance, since it never
   *   was reached (then at once) or has lost its header, so nobody would know that it owes a key: others that do reach it
   *   might deny the row.
   */
  add(id: CacheKey): Promise<void>
  /**
   * Lets every read of this instance through until the returned function is called: for whoever knows that rows may have
   * been inserted that the guard has not been told of.
   */
  open(): () => void
  /** Fills the filter anew. Resolves when it answers, or when another instance is at it already. */
  rebuild(): Promise<void>
  /** A read was answered with "does not exist": now and then `load` is called to see whether that was true. */
  denied(key: string, load: () => Promise<unknown>): Promise<void> | undefined
  /** The log tells of an add. */
  hear(sequence: number, key: string): void
  /** The log may have left out adds. */
  missed(): void
  /** Tells, as it was published, of which adds every other copy has heard that is believed. */
  heardElsewhere(message: string): void
  /** Fills or fetches the filter; until then everything may exist. */
  init(signal: AbortSignal): Promise<void>
  dispose(): Promise<void>
}
