/** Spaces out attempts while they fail: one at a time, further and further apart, at random so that a fleet spreads. */

import type { Clock, Timer } from '@breakwater/kernel'

const SHORTEST_MS = 20
/** A server that is back is found within this time, plus one attempt. */
const LONGEST_MS = 500

export class Backoff {
  readonly #clock: Clock
  readonly #random: () => number
  readonly #retry: () => void
  #retryAt = 0
  #timer: Timer | undefined
  /** Failed attempts since the last success; those that were under way together count as one. */
  failures = 0
  /** Of the last attempt, undefined after a success. */
  lastError: unknown

  /**
   * @param random from 0 to 1, exclusive.
   * @param retry called when an attempt is due that was asked for with `arm`.
   */
  constructor(clock: Clock, random: () => number, retry: () => void) {
    this.#clock = clock
    this.#random = random
    this.#retry = retry
  }

  /** Tells whether an attempt may begin now beside `running` others. */
  allows(running: number): boolean {
    return this.failures === 0 || (running === 0 && this.#clock.now() >= this.#retryAt)
  }

  succeeded(): void {
    this.failures = 0
    this.lastError = undefined
    this.stop()
  }

  /**
   * Notes a failure: the next attempt may begin after 20 ms to twice as long for each failure before it, 500 ms at most.
   * Source: jitter over the whole range, M. Brooker, "Exponential Backoff and Jitter" (AWS, 2015).
   */
  failed(error: unknown): void {
    this.lastError = error
    const now = this.#clock.now()
    if (this.failures > 0 && now < this.#retryAt) return
    this.failures++
    const ceilingMs = Math.min(LONGEST_MS, SHORTEST_MS * 2 ** this.failures)
    this.#retryAt = now + SHORTEST_MS + this.#random() * (ceilingMs - SHORTEST_MS)
  }

  /** Has `retry` called when an attempt may begin. */
  arm(keepAlive: boolean): void {
    if (this.#timer) return
    const delayMs = Math.max(0, this.#retryAt - this.#clock.now())
    const due = () => {
      this.#timer = undefined
      this.#retry()
    }
    this.#timer = this.#clock.schedule(delayMs, due, { keepAlive })
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
