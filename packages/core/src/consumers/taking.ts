/** The loop of a consumer: takes work again and again until it is paused, and then finishes what it has taken. */

import type { Clock, StepContext } from '@breakwater/kernel'
import { sleep } from '../work/sleep.js'

export class Taking {
  readonly #clock: Clock
  readonly #paused = new AbortController()
  readonly #force = new AbortController()
  #over: Promise<unknown> = Promise.resolve()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Aborted once nothing more is to be taken. */
  get paused(): AbortSignal {
    return this.#paused.signal
  }

  /** Aborted once what was taken is to be let go. */
  get force(): AbortSignal {
    return this.#force.signal
  }

  /** @param take takes some work and does it, and resolves with how long to rest then, in ms; never rejects. */
  begin(workers: number, take: () => Promise<number>): void {
    this.#over = Promise.all(Array.from({ length: workers }, () => this.#work(take)))
  }

  pause(): void {
    this.#paused.abort()
  }

  async finish({ signal }: StepContext): Promise<void> {
    signal.addEventListener('abort', () => this.#force.abort(signal.reason))
    if (signal.aborted) this.#force.abort(signal.reason)
    await this.#over
  }

  /** Lets go of what is left. */
  end(): void {
    this.#force.abort()
  }

  async #work(take: () => Promise<number>): Promise<void> {
    while (!this.paused.aborted) {
      const restMs = await take()
      if (restMs > 0) await sleep(this.#clock, restMs, this.paused)
    }
  }
}
