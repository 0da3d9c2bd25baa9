/** The door to async-mutex: one start or stop at a time, in the order in which they were asked for. */

import { Mutex } from 'async-mutex'

export class Turns {
  readonly #mutex = new Mutex()

  /** Runs `work` when everything asked for before it is over, and settles as it does. */
  take<T>(work: () => Promise<T>): Promise<T> {
    return this.#mutex.runExclusive(work)
  }
}
