/** Which of the answers "does not exist" are looked up in the database all the same: some, and never many at a time. */

import type { Clock } from '@breakwater/kernel'

/** Part of the answers. */
const SHARE = 0.01
/** At most five a second, however long the second. */
const APART_MS = 200

export class Audit {
  readonly #clock: Clock
  #from = Number.NEGATIVE_INFINITY
  /** Answers looked up. */
  done = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether this answer is one of them. */
  takes(): boolean {
    if (Math.random() >= SHARE) return false
    const now = this.#clock.now()
    if (now < this.#from) return false
    this.#from = now + APART_MS
    return true
  }
}
