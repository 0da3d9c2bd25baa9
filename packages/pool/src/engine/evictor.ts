/** Retires what has been idle or alive for too long, by one timer for the whole pool. */

import type { Clock, Timer } from '@breakwater/kernel'
import type { RetireReason, Slot } from './slot.js'
import type { Store } from './store.js'

export interface LifetimeLimits {
  readonly maxLifetimeMs: number
  readonly lifetimeJitter: number
  readonly random: () => number
}

/** Returns how old a new resource may get: those that were made together must not have to be replaced together. */
export function lifetimeMs({ maxLifetimeMs, lifetimeJitter, random }: LifetimeLimits): number {
  // Infinity x 0 is not a number.
  if (maxLifetimeMs === Number.POSITIVE_INFINITY) return maxLifetimeMs
  return maxLifetimeMs * (1 + lifetimeJitter * (2 * random() - 1))
}

export function isExpired({ expiresAt }: Slot<unknown>, clock: Clock): boolean {
  // Infinity is asked first, because the clock costs more than all the rest of a release.
  return expiresAt < Number.POSITIVE_INFINITY && clock.now() >= expiresAt
}

export class Evictor<T> {
  readonly #clock: Clock
  readonly #idleTimeoutMs: number
  readonly #size: { readonly min: number }
  readonly #store: Store<T>
  readonly #retire: (slot: Slot<T>, reason: RetireReason) => void
  readonly #sweep = (): void => this.#evict()
  #timer: Timer | undefined
  /** When the timer fires; Infinity without one. */
  #dueAt = Number.POSITIVE_INFINITY

  /** @param size may change; whoever changes it arms the idle slots again. */
  constructor(
    clock: Clock,
    idleTimeoutMs: number,
    size: { readonly min: number },
    store: Store<T>,
    retire: (slot: Slot<T>, reason: RetireReason) => void,
  ) {
    this.#clock = clock
    this.#idleTimeoutMs = idleTimeoutMs
    this.#size = size
    this.#store = store
    this.#retire = retire
  }

  /** Makes sure that a slot which has just become idle is looked at in time. */
  arm(slot: Slot<T>): void {
    this.#schedule(
      Math.min(slot.idleSince + this.#idleTimeoutMs, slot.isReplaced ? Number.POSITIVE_INFINITY : slot.expiresAt),
    )
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
    const now = this.#clock.now()
    let nextAt = Number.POSITIVE_INFINITY
    for (const slot of this.#store.idleSlots()) {
      // A listener of what was retired before may have taken it.
      if (slot.state !== 'idle' || slot.isReplaced) continue
      const endsAt = slot.expiresAt
      const idleUntil =
        this.#store.size > this.#size.min ? slot.idleSince + this.#idleTimeoutMs : Number.POSITIVE_INFINITY
      if (now >= endsAt) this.#retire(slot, 'lifetime')
      else if (now >= idleUntil) this.#retire(slot, 'idle')
      else nextAt = Math.min(nextAt, endsAt, idleUntil)
    }
    this.#schedule(nextAt)
  }
}
