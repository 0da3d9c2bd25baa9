/** How long something took, over and over: counted in fixed buckets for a few nanoseconds each, worked out only when read. */

/**
 * Upper bounds of the buckets in ms, each inclusive; one more bucket holds what took longer than the last.
 * Source: OpenTelemetry's advice for `db.client.operation.duration` and `db.client.connection.*` (1, 5, 10, 50 ms and so
 * on to 10 s), all of whose bounds are among them, with 2s added so that no bucket spans more than 2.5 times.
 */
export const DURATION_BOUNDS_MS: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]

/** Durations since the counting began. A plain object of its own. */
export interface Durations {
  readonly count: number
  readonly sumMs: number
  readonly maxMs: number
  /** Half of them, and 99 of 100, took no longer; interpolated inside a bucket, 0 without any. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** How many fell into each bucket; the bounds are 1, 2, 5, 10, 20, 50 ms and so on to 10 s, and the last has none. */
  readonly buckets: readonly number[]
}

export class Histogram {
  readonly #buckets: number[] = Array.from({ length: DURATION_BOUNDS_MS.length + 1 }, () => 0)
  #count = 0
  #sumMs = 0
  #maxMs = 0

  get count(): number {
    return this.#count
  }

  record(ms: number): void {
    let bucket = 0
    // Most are short, so this ends sooner than a binary search.
    while (ms > (DURATION_BOUNDS_MS[bucket] as number)) bucket++
    this.#buckets[bucket] = (this.#buckets[bucket] as number) + 1
    this.#count++
    this.#sumMs += ms
    if (ms > this.#maxMs) this.#maxMs = ms
  }

  /** @param immediate durations of 0 that were counted elsewhere, to be read as if they had been recorded. */
  read(immediate = 0): Durations {
    const [first = 0, ...others] = this.#buckets
    const buckets = [first + immediate, ...others]
    const count = this.#count + immediate
    return {
      count,
      sumMs: this.#sumMs,
      maxMs: this.#maxMs,
      p50Ms: this.#percentile(buckets, count * 0.5),
      p99Ms: this.#percentile(buckets, count * 0.99),
      buckets,
    }
  }

  #percentile(buckets: readonly number[], rank: number): number {
    let below = 0
    for (const [at, inside] of buckets.entries()) {
      if (inside > 0 && below + inside >= rank) {
        const lower = DURATION_BOUNDS_MS[at - 1] ?? 0
        const upper = Math.min(DURATION_BOUNDS_MS[at] ?? this.#maxMs, this.#maxMs)
        return lower + Math.max(0, upper - lower) * ((rank - below) / inside)
      }
      below += inside
    }
    return 0
  }
}
