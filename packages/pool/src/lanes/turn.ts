/** One reading of the clock for each turn of the event loop, and how long the turn before it took. */

import type { Clock } from '@breakwater/kernel'

/**
 * What has come from the server lies unread while the process is at other work, so a wait that spans a long turn says
 * little of the server. Whoever measures one takes `lastMs` off.
 */
export class Turn {
  readonly #clock: Clock
  #startedAt: number | undefined
  #lastMs = 0
  readonly #end = (): void => {
    if (this.#startedAt !== undefined) this.#lastMs = this.#clock.now() - this.#startedAt
    this.#startedAt = undefined
  }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** When this turn began, or was first asked. */
  get now(): number {
    if (this.#startedAt === undefined) {
      this.#startedAt = this.#clock.now()
      setImmediate(this.#end)
    }
    return this.#startedAt
  }

  /** Ms of the last turn that was asked and is over. */
  get lastMs(): number {
    return this.#lastMs
  }
}
