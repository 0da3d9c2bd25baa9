/** How many connections the pool may have: the least of what everyone who has a say in it allows. */

import type { Size } from '../engine/options.js'

export interface Allowances {
  /** The application's `max`. */
  configured: number
  /** What the pool's own sizing has use for. */
  sized: number
  /** Slots that this instance has in its fleet. */
  granted: number
}

export class Limits {
  readonly #allowed: Allowances
  readonly #resize: (size: Required<Size>) => void
  #min: number
  #applied: Required<Size>

  constructor(configured: Required<Size>, resize: (size: Required<Size>) => void) {
    this.#allowed = { configured: configured.max, sized: Number.POSITIVE_INFINITY, granted: Number.POSITIVE_INFINITY }
    this.#min = configured.min
    this.#applied = configured
    this.#resize = resize
  }

  get configured(): number {
    return this.#allowed.configured
  }

  /** What the pool would like to have at most, its fleet apart. */
  get desired(): number {
    return Math.min(this.#allowed.configured, this.#allowed.sized)
  }

  get min(): number {
    return this.#min
  }

  allow(allowed: Partial<Allowances>, min: number = this.#min): void {
    Object.assign(this.#allowed, allowed)
    this.#min = min
    const max = Math.max(1, Math.min(...Object.values(this.#allowed)))
    const size = { max, min: Math.min(min, max) }
    if (size.max === this.#applied.max && size.min === this.#applied.min) return
    this.#applied = size
    this.#resize(size)
  }
}
