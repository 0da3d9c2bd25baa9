/** What one space has counted since it was made: plain fields, read by `stats()` and by metrics. */

import { type Durations, Histogram } from '@breakwater/kernel'

/** A copy of the counts, as `cache.stats()` gives it. */
export type SpaceReading = Readonly<Omit<SpaceStats, 'loadTime' | 'read'>> & { readonly loadTime: Durations }

export class SpaceStats {
  /** Answers from the first tier. */
  memoryHits = 0
  /** Reads that found a fresh value in Redis. */
  redisHits = 0
  /** Answers past their ttl and within their grace, from either tier. */
  staleHits = 0
  /** Reads that the guard answered with "does not exist". */
  guarded = 0
  /** Calls of the loader. */
  loads = 0
  loadFailures = 0
  /** Callers that joined a read or load of their key already under way. */
  coalesced = 0
  /** Reads that waited for another process's load. */
  waits = 0
  /** Loads whose value was not kept, since their key was invalidated meanwhile. */
  fenced = 0
  /** Reads that went past Redis because it was down or too slow. */
  redisBypassed = 0
  /** Entries in Redis that could not be read and were removed. */
  poisoned = 0
  /** How long calls of the loader took, from their place in the miss budget to their end. */
  readonly loadTime: Histogram = new Histogram()

  read(): SpaceReading {
    return { ...this, loadTime: this.loadTime.read() }
  }
}
