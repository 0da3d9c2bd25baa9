/**
 * This process's copy of an epoch's bits, and whether its "no" may be believed without asking Redis.
 *
 * It may for a short while after Redis has agreed (`grant`), and once it has heard of every add that Redis had recorded by
 * then: from that moment on an `add` elsewhere does not resolve before this copy has heard of it, or its while is over.
 */

import type { Clock } from '@breakwater/kernel'
import type { Filter } from './filter.js'
import type { Epoch } from './shared-bits.js'

export class Copy {
  readonly epoch: Epoch
  isRevoked = false
  readonly #filter: Filter
  readonly #clock: Clock
  #heard: number
  /** Believed until this instant. Read on the exact clock: a process that stood still must notice it before it answers. */
  #until = 0
  /** Believed once it has heard of this add. */
  #from = Number.POSITIVE_INFINITY

  /** @param heard adds that the bits hold for certain. */
  constructor(epoch: Epoch, filter: Filter, heard: number, clock: Clock) {
    this.epoch = epoch
    this.#filter = filter
    this.#heard = heard
    this.#clock = clock
  }

  /** Whether adds elsewhere wait for it. */
  get isNoted(): boolean {
    return this.#clock.now() < this.#until
  }

  get heard(): number {
    return this.#heard
  }

  has(key: string): boolean {
    return this.#filter.has(key)
  }

  add(key: string): void {
    this.#filter.add(key)
  }

  /** Takes an add that the log tells of; false if another one was missed, and the copy is worth nothing from here. */
  hear(sequence: number, key: string): boolean {
    this.#filter.add(key)
    if (sequence <= this.#heard) return true
    if (sequence !== this.#heard + 1) {
      this.revoke()
      return false
    }
    this.#heard = sequence
    return true
  }

  /** Ms for which it is believed from now on; 0 or less if it is not. */
  get believedMs(): number {
    return this.#heard >= this.#from ? this.#until - this.#clock.now() : 0
  }

  /** @param sentAt the instant before Redis was asked: its own measure of the while begins later and ends later. */
  grant(sentAt: number, trustMs: number, sequence: number): void {
    if (this.isRevoked) return
    // While it was noted all along, adds after the first of these have waited for it.
    if (!this.isNoted) this.#from = sequence
    this.#until = sentAt + trustMs
  }

  /** Adds may have been missed: it is never believed again. */
  revoke(): void {
    this.#until = 0
    this.#from = Number.POSITIVE_INFINITY
    this.isRevoked = true
  }
}
