/**
 * The server's clock, between two looks at it: what it said, and how long ago it was asked. So it is never taken for earlier
 * than it is, and only lengths of time of this process are added to it.
 */

import type { Clock } from '@breakwater/kernel'

/** Two clocks part by less than a tenth of a millisecond in that time, unless one is set. */
const LOOK_AGAIN_MS = 1_000

export class ServerTime {
  readonly #clock: Clock
  #serverMs = Number.NaN
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @param serverMs what the server answered when it was asked at `askedAt` of our clock. */
  learn(serverMs: number, askedAt: number): void {
    this.#serverMs = serverMs
    this.#askedAt = askedAt
  }

  get isOld(): boolean {
    return this.#clock.now() - this.#askedAt > LOOK_AGAIN_MS
  }

  /** The latest that it can be on the server, in ms; NaN before the first look. */
  get latest(): number {
    return this.#serverMs + (this.#clock.now() - this.#askedAt)
  }
}
