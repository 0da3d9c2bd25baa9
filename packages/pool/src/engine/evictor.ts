/** Retires what has been idle or alive for too long, and has what stays idle validated, by one timer for the whole pool. */

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

export interface EvictorLimits {
  readonly clock: Clock
  readonly idleTimeoutMs: number
  readonly keepaliveMs: number
  readonly validateTimeoutMs: number
}

export interface EvictorHooks<T> {
  retire(slot: Slot<T>, reason: RetireReason): void
  /** Has an idle slot validated, and armed again if it stays. */
  validate(slot: Slot<T>): void
}

export class Evictor<T> {
  readonly #limits: EvictorLimits
  readonly #clock: Clock
  readonly #size: { readonly min: number }
  readonly #store: Store<T>
  readonly #hooks: EvictorHooks<T>
  readonly #sweep = (): void => this.#evict()
  #timer: Timer | undefined
  /** When the timer fires; Infinity without one. */
  #dueAt = Number.POSITIVE_INFINITY

  /** @param size may change; whoever changes it arms the idle slots again. */
  constructor(limits: EvictorLimits, size: { readonly min: number }, store: Store<T>, hooks: EvictorHooks<T>) {
    this.#limits = limits
    this.#clock = limits.clock
    this.#size = size
    this.#store = store
    this.#hooks = hooks
  }

  /** Makes sure that a slot which has just become idle is looked at in time. */
  arm({ idleSince, provenAt, expiresAt, isReplaced }: Slot<T>): void {
    const { idleTimeoutMs, keepaliveMs } = this.#limits
    const endsAt = isReplaced ? Number.POSITIVE_INFINITY : expiresAt
    this.#schedule(Math.min(idleSince + idleTimeoutMs, provenAt + keepaliveMs, endsAt))
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
    const { idleTimeoutMs, keepaliveMs, validateTimeoutMs } = this.#limits
    let nextAt = Number.POSITIVE_INFINITY
    let isValidating = false
    for (const slot of this.#store.idleSlots()) {
      // A listener of what was retired before may have taken it.
      if (slot.state !== 'idle' || slot.isReplaced) continue
      const endsAt = slot.expiresAt
      const idleUntil = this.#store.size > this.#size.min ? slot.idleSince + idleTimeoutMs : Number.POSITIVE_INFINITY
      const provenUntil = slot.provenAt + keepaliveMs
      if (now >= endsAt) this.#hooks.retire(slot, 'lifetime')
      else if (now >= idleUntil) this.#hooks.retire(slot, 'idle')
      else if (now < provenUntil) nextAt = Math.min(nextAt, endsAt, idleUntil, provenUntil)
      // One at a time: callers find the others.
      else if (isValidating) nextAt = Math.min(nextAt, now + validateTimeoutMs)
      else {
        isValidating = true
        this.#hooks.validate(slot)
      }
    }
    this.#schedule(nextAt)
  }
}
