/** The handle of one who has a resource; it ends once, by whichever way comes first. */

import { BreakwaterError } from '@breakwater/kernel'
import type { RetireReason, Slot } from './slot.js'

/** A resource that is the caller's alone until it is released or retired. */
export interface Lease<T> extends AsyncDisposable {
  readonly value: T
  /** The stack of the call that acquired it, one frame a line; with `leakWarningAfter` alone, until the lease has ended. */
  readonly acquiredAt: string | undefined
  /** Whether the resource is going to be destroyed when the lease ends: it was retired, is too old, or one too many. */
  readonly isDue: boolean
  /**
   * Gives the resource back for the next caller.
   * @throws {BreakwaterError} kind `usage`, code `POOL_LEASE_RELEASED`, when the lease has ended already.
   */
  release(): void
  /**
   * Gives the resource back to be destroyed.
   * @param reason default `unhealthy`.
   * @throws {BreakwaterError} as `release`.
   */
  retire(reason?: RetireReason): void
  /** Releases it if the lease has not ended yet. */
  [Symbol.asyncDispose](): Promise<void>
}

export class SlotLease<T> implements Lease<T> {
  readonly value: T
  /** Unset once the lease has ended. */
  #slot: Slot<T> | undefined
  readonly #giveBack: (slot: Slot<T>, reason: RetireReason | undefined) => void
  readonly #isDue: (slot: Slot<T>) => boolean

  constructor(
    slot: Slot<T>,
    giveBack: (slot: Slot<T>, reason: RetireReason | undefined) => void,
    isDue: (slot: Slot<T>) => boolean,
  ) {
    this.value = slot.value
    this.#slot = slot
    this.#giveBack = giveBack
    this.#isDue = isDue
  }

  get isDue(): boolean {
    return this.#slot === undefined || this.#isDue(this.#slot)
  }

  get acquiredAt(): string | undefined {
    return this.#slot?.acquirer?.frames
  }

  release(): void {
    this.#end(undefined)
  }

  retire(reason: RetireReason = 'unhealthy'): void {
    this.#end(reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#slot) this.#end(undefined)
  }

  #end(reason: RetireReason | undefined): void {
    const slot = this.#slot
    if (!slot) {
      throw new BreakwaterError(
        'usage',
        'POOL_LEASE_RELEASED',
        'this lease has ended already: release or retire it once, and do not use its resource afterwards',
      )
    }
    this.#slot = undefined
    this.#giveBack(slot, reason)
  }
}
