/** What a guard thinks of its bits, and for how long it has let every read through. */

import type { Clock } from '@breakwater/kernel'
import type { BoundGuard } from './guard.js'

export class GuardState {
  readonly #clock: Clock
  #value: BoundGuard['state'] = 'building'
  #holds = 0
  #wasReady = false
  #openSince: number | undefined
  #openMs = 0
  openings = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get value(): BoundGuard['state'] {
    return this.#value
  }

  /** Whether every read is let through. */
  get open(): boolean {
    return this.#value !== 'ready' || this.#holds > 0
  }

  /** Ms for which it was open after it had been ready once. */
  get openMs(): number {
    return this.#openMs + (this.#openSince === undefined ? 0 : this.#clock.now() - this.#openSince)
  }

  /** Takes note that the bits are in order. */
  ready(): void {
    this.#value = 'ready'
    this.#wasReady = true
    this.#note()
  }

  /** Takes note that they are not; returns whether that is news. */
  doubt(): boolean {
    const news = this.#value === 'ready'
    this.#value = this.#wasReady ? 'suspect' : 'building'
    this.#note()
    return news
  }

  /** Opens until the returned function is called, whatever the bits are. */
  hold(): () => void {
    let held = true
    this.#holds++
    this.#note()
    return () => {
      if (held) this.#holds--
      held = false
      this.#note()
    }
  }

  #note(): void {
    if (!this.#wasReady || this.open === (this.#openSince !== undefined)) return
    const now = this.#clock.now()
    if (this.open) {
      this.openings++
      this.#openSince = now
    } else {
      this.#openMs += now - (this.#openSince ?? now)
      this.#openSince = undefined
    }
  }
}
