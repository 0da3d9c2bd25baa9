/** Retires what has been idle or alive for too long, by one timer for the whole pool. */

import type { Clock, Timer } from '@breakwater/kernel'
import type { RetireReason, Slot } from './slot.js'
import type { Store } from './store.js'

export interface EvictorLimits {
  readonly min: number
  readonly idleTimeoutMs: number
  readonly maxLifetimeMs: number
}

export class Evictor<T> {
  readonly #clock: Clock
  readonly #limits: EvictorLimits
  readonly #store: Store<T>
  readonly #retire: (slot: Slot<T>, reason: RetireReason) => void
  readonly #sweep = (): void => this.#evict()
  #timer: Timer | undefined
  /** When the timer fires; Infinity without one. */
  #dueAt = Number.POSITIVE_INFINITY

  constructor(
    clock: Clock,
    limits: EvictorLimits,
    store: Store<T>,
    retire: (slot: Slot<T>, reason: RetireReason) => void,
  ) {
    this.#clock = clock
    this.#limits = limits
    this.#store = store
    this.#retire = retire
  }

  /** Makes sure that a slot which has just become idle is looked at in time. */
  arm(slot: Slot<T>): void {
    const { idleTimeoutMs, maxLifetimeMs } = this.#limits
    this.#schedule(Math.min(slot.idleSince + idleTimeoutMs, slot.createdAt + maxLifetimeMs))
  }

  stop(): void {
    this.#timer?.cancel()
    this.#dueAt = Number.POSITIVE_INFINITY
  }

  /** Mostly costs one comparison: what became idle before is due before. */
  #schedule(at: number): void {
    if (at >= this.#dueAt) return
    this.#timer?.cancel()
    this.#dueAt = at
    this.#timer = this.#clock.schedule(Math.max(0, at - this.#clock.now()), this.#sweep)
  }

  #evict(): void {
    this.#dueAt = Number.POSITIVE_INFINITY
    const { min, idleTimeoutMs, maxLifetimeMs } = this.#limits
    const now = this.#clock.now()
    let nextAt = Number.POSITIVE_INFINITY
    for (const slot of this.#store.idleSlots()) {
      const endsAt = slot.createdAt + maxLifetimeMs
      const idleUntil = this.#store.size > min ? slot.idleSince + idleTimeoutMs : Number.POSITIVE_INFINITY
      if (now >= endsAt) this.#retire(slot, 'lifetime')
      else if (now >= idleUntil) this.#retire(slot, 'idle')
      else nextAt = Math.min(nextAt, endsAt, idleUntil)
    }
    this.#schedule(nextAt)
  }
}
