/** What is on its way out: resources being destroyed, creations given up. A stop waits for all of it, but not for ever. */

import { type Clock, Deadline } from '@breakwater/kernel'
import { call } from './creation.js'
import { destroyTimeout } from './errors.js'

export interface EndingsLimits {
  readonly clock: Clock
  readonly name: string
  readonly destroyTimeoutMs: number
}

export class Endings {
  readonly #limits: EndingsLimits
  readonly #underWay = new Set<Promise<void>>()
  readonly #failed: (error: unknown) => void

  /** @param failed told what a `destroy` threw or rejected with, and when `finish` gives up. */
  constructor(limits: EndingsLimits, failed: (error: unknown) => void) {
    this.#limits = limits
    this.#failed = failed
  }

  destroy(destroy: () => Promise<void> | void): void {
    this.await(call(destroy).catch(this.#failed))
  }

  /** @param ending never rejects. */
  await(ending: Promise<void>): void {
    this.#underWay.add(ending)
    void ending.then(() => this.#underWay.delete(ending))
  }

  /** Resolves when nothing is under way, or after `destroyTimeoutMs`. */
  async finish(): Promise<void> {
    const { clock, name, destroyTimeoutMs } = this.#limits
    const deadline = new Deadline(clock, destroyTimeoutMs)
    const ended = async (): Promise<void> => {
      while (this.#underWay.size > 0) await Promise.all(this.#underWay)
    }
    await deadline
      .race(ended(), () => destroyTimeout(deadline.elapsedMs, name, this.#underWay.size))
      .catch(this.#failed)
  }
}
