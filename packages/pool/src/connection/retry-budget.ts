/** Keeps second tries a small share of the first ones, so that a server in trouble is not hammered. */

import type { Clock } from '@breakwater/kernel'

const SHARE = 0.2
/** There are that many even for a pool that has run no query, and again after the refill time. */
const LEAST = 3
const REFILL_MS = 10_000
/** Queries of long ago pay for no more. */
const MOST = 100

/** A bucket of tokens. Source: share and floor as in Finagle's `RetryBudget`. */
export class RetryBudget {
  readonly #clock: Clock
  #tokens = LEAST
  #refilledAt: number
  #queries = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#refilledAt = clock.now()
  }

  /** Counts a first try. */
  count(): void {
    this.#queries++
  }

  /** Takes a second try; false if there is none left. */
  take(): boolean {
    const now = this.#clock.now()
    const refilled = Math.min(LEAST, this.#tokens + ((now - this.#refilledAt) / REFILL_MS) * LEAST)
    this.#tokens = Math.min(MOST, Math.max(this.#tokens, refilled) + this.#queries * SHARE)
    this.#refilledAt = now
    this.#queries = 0
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
