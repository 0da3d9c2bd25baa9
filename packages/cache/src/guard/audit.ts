/**
 * Looks some of the answers "does not exist" up in the database all the same, and never many at a time: a row that is found
 * there was inserted past the guard, or lost by it.
 */

import type { GuardSurroundings } from './guard.js'
import type { Warn } from './warn.js'

/** Part of the answers. */
const SHARE = 0.01
/** At most five a second, however long the second. */
const APART_MS = 200

export interface Audited {
  /** Takes note of what has answered; the function returned tells whether that denies the key still, false on any doubt. */
  witness(key: string): () => boolean | Promise<boolean>
  /** An answer was wrong. */
  refuted(): void | Promise<void>
}

export class Audit {
  readonly #around: Pick<GuardSurroundings, 'clock' | 'random'>
  readonly #warn: Warn
  readonly #audited: Audited
  #from = Number.NEGATIVE_INFINITY
  /** Answers looked up, and those of them that were wrong. */
  done = 0
  falseNegatives = 0

  constructor(around: Pick<GuardSurroundings, 'clock' | 'random'>, warn: Warn, audited: Audited) {
    this.#around = around
    this.#warn = warn
    this.#audited = audited
  }

  /** A key was denied: looks it up, if this answer is one of those. */
  denied(key: string, load: () => Promise<unknown>): Promise<void> | undefined {
    return this.#takes() ? this.#lookUp(key, load) : undefined
  }

  #takes(): boolean {
    if (this.#around.random() >= SHARE) return false
    const now = this.#around.clock.now()
    if (now < this.#from) return false
    this.#from = now + APART_MS
    return true
  }

  async #lookUp(key: string, load: () => Promise<unknown>): Promise<void> {
    this.done++
    const stillDenies = this.#audited.witness(key)
    try {
      // A row that came in between was added first.
      if ((await load()) === null || !(await stillDenies())) return
    } catch {
      return
    }
    this.falseNegatives++
    this.#warn(
      'guard.false-negative',
      'denied a row that exists: rows are inserted past it; letting every read through until it is built anew',
    )
    await this.#audited.refuted()
  }
}
