/** Which of the answers "does not exist" are looked up in the database all the same. */

import type { Clock } from '@breakwater/kernel'

/** Part of the answers. */
const SHARE = 0.01
const MOST_A_SECOND = 5

export class Audit {
  readonly #clock: Clock
  #left = MOST_A_SECOND
  #since = 0
  /** Answers looked up. */
  done = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether this answer is one of them. */
  takes(): boolean {
    if (Math.random() >= SHARE) return false
    const now = this.#clock.now()
    if (now - this.#since >= 1_000) {
      this.#since = now
      this.#left = MOST_A_SECOND
    }
    if (this.#left === 0) return false
    this.#left--
    return true
  }
}
