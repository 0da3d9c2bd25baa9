/** How many connections a pool has had use for lately: looked at now and then while it is in use, so that no use of it pays. */

import type { Clock, Timer } from '@breakwater/kernel'

const SAMPLE_MS = 25
/**
 * The present window and the one before it count: what was needed in the last 300 ms, or 600. It is the first part of the
 * time in which a fleet follows a shift of demand, which takes 2 s at most.
 */
const WINDOW_MS = 300
/** Without any use for so long, it is no longer looked at. */
const REST_MS = 2_000

export class Load {
  readonly #clock: Clock
  readonly #use: () => number
  readonly #sampled: () => void
  #timer: Timer | undefined
  #isStopped = false
  #peak = 0
  #peakBefore = 0
  #windowEndsAt = 0
  #usedAt = 0

  /** @param use connections in use and callers that wait, now. @param sampled called after each look at it. */
  constructor(clock: Clock, use: () => number, sampled: () => void) {
    this.#clock = clock
    this.#use = use
    this.#sampled = sampled
  }

  /** To be called when a caller comes; mostly costs one comparison. It stops by itself when none has come for a while. */
  watch(): void {
    if (this.#timer || this.#isStopped) return
    this.#usedAt = this.#clock.now()
    this.#arm()
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  /** The most that there was use for at one time, of late. */
  get peak(): number {
    this.#look()
    return Math.max(this.#peak, this.#peakBefore)
  }

  #arm(): void {
    this.#timer = this.#clock.schedule(SAMPLE_MS, () => {
      this.#look()
      this.#sampled()
      this.#timer = undefined
      if (!this.#isStopped && this.#clock.now() - this.#usedAt < REST_MS) this.#arm()
    })
  }

  #look(): void {
    const now = this.#clock.now()
    if (now >= this.#windowEndsAt) {
      this.#peakBefore = now < this.#windowEndsAt + WINDOW_MS ? this.#peak : 0
      this.#peak = 0
      this.#windowEndsAt = now + WINDOW_MS
    }
    const use = this.#use()
    if (use > 0) this.#usedAt = now
    this.#peak = Math.max(this.#peak, use)
  }
}
