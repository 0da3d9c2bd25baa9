/** Bounds how many loads run at once, so that an empty or dead Redis does not hand its storm to the database. The one door to async-mutex. */

import { BreakwaterError, type Deadline } from '@breakwater/kernel'
import { Semaphore } from 'async-mutex'

export class MissBudget {
  readonly size: number
  /** None for Infinity, which async-mutex would count down from, for ever. */
  readonly #semaphore: Semaphore | undefined
  /** Loads that wait for a place. */
  pending = 0

  /** @param size loads at once, 1 to Infinity. */
  constructor(size: number) {
    this.size = size
    if (size !== Number.POSITIVE_INFINITY) this.#semaphore = new Semaphore(size)
  }

  /**
   * Runs `load` when a place is free.
   *
   * @throws {BreakwaterError} kind `rejected`, code `CACHE_MISS_BUDGET`, when no place came free by `deadline`; the signal's
   *   reason when it is aborted while waiting.
   */
  async run<T>(load: () => Promise<T>, deadline: Deadline, signal: AbortSignal): Promise<T> {
    if (this.#semaphore === undefined) return load()
    const acquired = this.#semaphore.acquire()
    this.pending++
    try {
      await deadline.race(
        acquired,
        () =>
          new BreakwaterError(
            'rejected',
            'CACHE_MISS_BUDGET',
            `no place for a load after ${Math.round(deadline.elapsedMs)} ms (${this.size} loads run at once, ${this.pending} wait)`,
            { elapsedMs: deadline.elapsedMs, retryAfterMs: 1_000 },
          ),
        signal,
      )
    } catch (error) {
      // The place may still be handed to us: give it on.
      void acquired.then(([, giveBack]) => giveBack())
      throw error
    } finally {
      this.pending--
    }
    const [, giveBack] = await acquired
    try {
      return await load()
    } finally {
      giveBack()
    }
  }
}
