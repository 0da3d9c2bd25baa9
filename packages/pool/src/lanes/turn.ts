/** One reading of the clock for each turn of the event loop, and how long the turn before it took. */

import type { Clock } from '@breakwater/kernel'

/**
 * What has come from the server lies unread while the process is at other work, so a wait that spans a long turn says
 * little of the server. Whoever measures one takes `lastMs` off. To hear of the end of a turn costs the loop one more round,
 * which many queries share and a single one would feel: without others under way, turns are not told apart.
 */
export class Turn {
  readonly #clock: Clock
  readonly #isShared: () => boolean
  #startedAt: number | undefined
  #lastMs = 0
  readonly #end = (): void => {
    if (this.#startedAt !== undefined) this.#lastMs = this.#clock.now() - this.#startedAt
    this.#startedAt = undefined
  }

  /** @param isShared whether more than one query is under way. */
  constructor(clock: Clock, isShared: () => boolean) {
    this.#clock = clock
    this.#isShared = isShared
  }

  /** When this turn began, or was first asked. */
  get now(): number {
    if (this.#startedAt !== undefined) return this.#startedAt
    const now = this.#clock.now()
    if (this.#isShared()) {
      this.#startedAt = now
      setImmediate(this.#end)
    } else this.#lastMs = 0
    return now
  }

  /** Ms of the last turn that was asked and is over; 0 if there were no others. */
  get lastMs(): number {
    return this.#lastMs
  }
}
