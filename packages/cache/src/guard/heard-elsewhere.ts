/** Waits until every copy that is believed anywhere has heard of an add. One question for all adds that wait. */

import { type Clock, pause } from '@breakwater/kernel'
import type { SharedBits } from './shared-bits.js'

/** Between two questions; the way to Redis and back comes on top. */
const FIRST_PAUSE_MS = 1
const LAST_PAUSE_MS = 8

interface Waiting {
  readonly sequence: number
  readonly until: number
  readonly resolve: () => void
}

export class HeardElsewhere {
  readonly #shared: SharedBits
  readonly #clock: Clock
  readonly #mostMs: number
  readonly #signal: AbortSignal
  #waiting: Waiting[] = []
  #asking = false

  /** @param mostMs after which no copy is believed that has not heard. */
  constructor(shared: SharedBits, clock: Clock, mostMs: number, signal: AbortSignal) {
    this.#shared = shared
    this.#clock = clock
    this.#mostMs = mostMs
    this.#signal = signal
  }

  of(sequence: number): Promise<void> {
    return new Promise(resolve => {
      this.#waiting.push({ sequence, until: this.#clock.now() + this.#mostMs, resolve })
      if (!this.#asking) void this.#ask()
    })
  }

  async #ask(): Promise<void> {
    this.#asking = true
    let pauseMs = FIRST_PAUSE_MS
    while (this.#waiting.length > 0) {
      const least = await this.#shared.leastHeard().catch(() => Number.NEGATIVE_INFINITY)
      const now = this.#clock.now()
      const over = (each: Waiting): boolean => each.sequence <= least || each.until <= now || this.#signal.aborted
      for (const each of this.#waiting.filter(over)) each.resolve()
      this.#waiting = this.#waiting.filter(each => !over(each))
      if (this.#waiting.length === 0) break
      await pause(this.#clock, pauseMs, this.#signal).catch(() => {})
      pauseMs = Math.min(LAST_PAUSE_MS, pauseMs * 2)
    }
    this.#asking = false
  }
}
