/** Failed loads of late: a key answers from its failure for the back-off instead of failing anew for each who asks. */

import { type Clock, isBreakwaterError } from '@breakwater/kernel'

/** Failures remembered at once; the oldest is forgotten first, and its key may be tried again early. */
const MAX_FAILURES = 1_000

interface Failure {
  readonly error: unknown
  readonly until: number
}

export class Failures {
  readonly #clock: Clock
  readonly #backoffMs: number
  readonly #failures = new Map<string, Failure>()

  constructor(clock: Clock, backoffMs: number) {
    this.#clock = clock
    this.#backoffMs = backoffMs
  }

  get(key: string): Failure | undefined {
    const failure = this.#failures.get(key)
    if (failure === undefined || this.#clock.now() < failure.until) return failure
    this.#failures.delete(key)
    return undefined
  }

  note(key: string, error: unknown): void {
    if (this.#backoffMs === 0) return
    // A refusal of ours says nothing about the key.
    if (isBreakwaterError(error) && error.kind === 'rejected') return
    this.#failures.delete(key)
    this.#failures.set(key, { error, until: this.#clock.now() + this.#backoffMs })
    if (this.#failures.size <= MAX_FAILURES) return
    for (const oldest of this.#failures.keys()) {
      this.#failures.delete(oldest)
      break
    }
  }

  forget(key: string): void {
    this.#failures.delete(key)
  }

  keys(): Iterable<string> {
    return this.#failures.keys()
  }
}
