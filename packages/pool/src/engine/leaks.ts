/** Finds leases that are held for too long, and says where they were acquired; by one timer for the whole pool. */

import type { Clock, Timer } from '@breakwater/kernel'
import type { Slot } from './slot.js'

/** Enough to get from here through the pool to the caller, and to see who called that. */
const FRAMES = 12

/** Where a lease was acquired. */
export class Acquirer {
  /** V8 writes the text only if it is read. */
  declare readonly stack: string
  reported = false

  /** Must be made in the caller's own tick. */
  constructor() {
    const usual = Error.stackTraceLimit
    Error.stackTraceLimit = FRAMES
    Error.captureStackTrace(this, Acquirer)
    Error.stackTraceLimit = usual
  }

  /** The stack without V8's first line, one frame a line. */
  get frames(): string {
    return String(this.stack)
      .split('\n')
      .filter(line => line.startsWith('    at '))
      .map(line => line.trim())
      .join('\n')
  }
}

export class Leaks<T> {
  readonly #clock: Clock
  readonly #afterMs: number
  readonly #slots: Iterable<Slot<T>>
  readonly #leaked: (slot: Slot<T>, heldMs: number, acquiredAt: string) => void
  readonly #sweep = (): void => this.#look()
  #timer: Timer | undefined

  constructor(
    clock: Clock,
    afterMs: number,
    slots: Iterable<Slot<T>>,
    leaked: (slot: Slot<T>, heldMs: number, acquiredAt: string) => void,
  ) {
    this.#clock = clock
    this.#afterMs = afterMs
    this.#slots = slots
    this.#leaked = leaked
  }

  /** Watches a slot that has just been leased. Mostly free: leases that began before are due before. */
  watch(slot: Slot<T>, acquirer: Acquirer | undefined): void {
    slot.acquirer = acquirer
    this.#timer ??= this.#clock.schedule(this.#afterMs, this.#sweep)
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #look(): void {
    this.#timer = undefined
    const now = this.#clock.now()
    let nextMs = Number.POSITIVE_INFINITY
    // A copy, because a listener may do anything to the pool.
    for (const slot of [...this.#slots]) {
      const { acquirer } = slot
      if (slot.state !== 'leased' || !acquirer || acquirer.reported) continue
      const heldMs = now - slot.leasedAt
      if (heldMs < this.#afterMs) {
        nextMs = Math.min(nextMs, this.#afterMs - heldMs)
        continue
      }
      acquirer.reported = true
      this.#leaked(slot, heldMs, acquirer.frames)
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#timer ??= this.#clock.schedule(nextMs, this.#sweep)
  }
}
