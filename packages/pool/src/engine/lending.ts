/** Leases of slots: alone, to be shared, or to the pool's owner for a moment; and what is noted of each. */

import type { Clock } from '@breakwater/kernel'
import { Acquirer, Leaks } from './leaks.js'
import { type Lease, SlotLease } from './lease.js'
import type { RetireReason, Slot } from './slot.js'
import type { Report } from './stats.js'

export interface LendingLimits {
  readonly clock: Clock
  readonly leakWarningAfterMs: number
}

export interface LendingHooks<T> {
  /** Whether a slot is going to be dropped when its lease ends. */
  isDue(slot: Slot<T>): boolean
  /** How long a caller had a lease alone. */
  used(ms: number): void
  /** A lease is over, and its slot is free. */
  ended(slot: Slot<T>): void
  leaked(slot: Slot<T>, heldMs: number, acquiredAt: string): void
}

export class Lending<T> {
  readonly #clock: Clock
  readonly #report: Report
  readonly #hooks: LendingHooks<T>
  /** Undefined when nobody asked for it, so that it costs nothing. */
  readonly #leaks: Leaks<T> | undefined
  readonly #isDue: (slot: Slot<T>) => boolean
  #shared = 0

  /** @param slots all that the pool has. */
  constructor(
    { clock, leakWarningAfterMs }: LendingLimits,
    slots: Set<Slot<T>>,
    report: Report,
    hooks: LendingHooks<T>,
  ) {
    this.#clock = clock
    this.#report = report
    this.#hooks = hooks
    this.#isDue = slot => hooks.isDue(slot)
    if (leakWarningAfterMs === Number.POSITIVE_INFINITY) return
    this.#leaks = new Leaks(clock, leakWarningAfterMs, slots, (...leak) => hooks.leaked(...leak))
  }

  /** Leases that others may join. */
  get shared(): number {
    return this.#shared
  }

  /** To be made where a caller comes, if it is to be known later who that was. */
  acquirer(): Acquirer | undefined {
    return this.#leaks && new Acquirer()
  }

  lend(slot: Slot<T>, acquirer: Acquirer | undefined, shared: boolean): Lease<T> {
    slot.state = 'leased'
    slot.leasedAt = this.#clock.coarse()
    slot.isShared = shared
    this.#report.counters.acquired++
    // A shared lease lasts as long as others join it.
    if (shared) this.#shared++
    else this.#leaks?.watch(slot, acquirer)
    return new SlotLease(slot, this.#giveBack, this.#isDue)
  }

  /** Counts as no use of the slot. */
  borrow(slot: Slot<T>): Lease<T> {
    slot.state = 'borrowed'
    return new SlotLease(slot, this.#giveBack, this.#isDue)
  }

  /** The slot is going, or its lease is over. */
  unshare(slot: Slot<T>): void {
    if (slot.isShared) this.#shared--
    slot.isShared = false
  }

  stop(): void {
    this.#leaks?.stop()
  }

  readonly #giveBack = (slot: Slot<T>, reason: RetireReason | undefined): void => {
    // Closed: a forced stop has taken it away, which is not the holder's fault.
    if (slot.state === 'closed') return
    slot.retired ??= reason
    if (slot.state === 'leased') {
      slot.uses++
      if (!slot.isShared) this.#hooks.used(this.#clock.coarse() - slot.leasedAt)
      this.unshare(slot)
    }
    this.#hooks.ended(slot)
  }
}
