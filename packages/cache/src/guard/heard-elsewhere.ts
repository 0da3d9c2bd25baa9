/**
 * Waits until every copy that is believed anywhere has heard of an add. Whoever hears tells those who wait, over the wake
 * channel. Since that may be lost, and the time of a copy may end with nobody saying so, Redis is asked now and then too: one
 * question for all adds that wait.
 */

import { type Clock, pause } from '@breakwater/kernel'
import type { AddId, SharedBits } from './shared-bits.js'

/** Until Redis is asked, and at most from one question to the next. */
const FIRST_PAUSE_MS = 10
const LAST_PAUSE_MS = 50

interface Waiting {
  readonly add: AddId
  readonly until: number
  readonly resolve: () => void
}

export class HeardElsewhere {
  readonly #shared: Pick<SharedBits, 'leastHeard'>
  readonly #clock: Clock
  readonly #mostMs: number
  readonly #signal: AbortSignal
  #waiting: Waiting[] = []
  /** The most that was told. It stays true: a copy that is believed later has heard of all that was recorded by then. */
  #heard: AddId | undefined
  #asking = false

  /** @param mostMs after which no copy is believed that has not heard. */
  constructor(shared: Pick<SharedBits, 'leastHeard'>, clock: Clock, mostMs: number, signal: AbortSignal) {
    this.#shared = shared
    this.#clock = clock
    this.#mostMs = mostMs
    this.#signal = signal
  }

  of(add: AddId): Promise<void> {
    // Who heard may have been quicker to tell than Redis to reply.
    if (this.#isHeard(add)) return Promise.resolve()
    return new Promise(resolve => {
      this.#waiting.push({ add, until: this.#clock.now() + this.#mostMs, resolve })
      if (!this.#asking) void this.#ask()
    })
  }

  /** Every copy that is believed has heard of all adds of its history up to `least`. */
  upTo(least: AddId | undefined): void {
    if (least !== undefined && !this.#isHeard(least)) this.#heard = least
    if (this.#waiting.length === 0) return
    const now = this.#clock.now()
    const over = ({ add, until }: Waiting): boolean => this.#isHeard(add) || until <= now || this.#signal.aborted
    for (const each of this.#waiting) if (over(each)) each.resolve()
    this.#waiting = this.#waiting.filter(each => !over(each))
  }

  #isHeard({ history, sequence }: AddId): boolean {
    return this.#heard?.history === history && sequence <= this.#heard.sequence
  }

  async #ask(): Promise<void> {
    this.#asking = true
    let pauseMs = FIRST_PAUSE_MS
    while (this.#waiting.length > 0) {
      await pause(this.#clock, pauseMs, this.#signal).catch(() => {})
      if (this.#waiting.length === 0) break
      this.upTo(await this.#shared.leastHeard().catch(() => undefined))
      pauseMs = Math.min(LAST_PAUSE_MS, pauseMs * 2)
    }
    this.#asking = false
  }
}
