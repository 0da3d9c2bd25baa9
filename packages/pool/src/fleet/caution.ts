/** After something went wrong an instance asks for no more for a while: what it wants may not be there, or not be known. */

import type { Clock } from '@breakwater/kernel'

/** After the server has refused a connection, and twice as long after each refusal that follows. */
const REFUSED_MS = 1_000
const LONGEST_MS = 30_000
/** After the fleet could not be asked. */
const FAILED_MS = 1_000

export class Caution {
  readonly #clock: Clock
  #until = 0
  #refusedMs = REFUSED_MS
  /** Looks that failed in a row. */
  failures = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get isOn(): boolean {
    return this.#clock.now() < this.#until
  }

  refused(): void {
    this.#until = this.#clock.now() + this.#refusedMs
    this.#refusedMs = Math.min(LONGEST_MS, this.#refusedMs * 2)
  }

  /** A connection has come, and has its slot. */
  joined(): void {
    this.#refusedMs = REFUSED_MS
  }

  failed(): void {
    this.#until = Math.max(this.#until, this.#clock.now() + FAILED_MS)
    this.failures++
  }

  looked(): void {
    this.failures = 0
  }
}
