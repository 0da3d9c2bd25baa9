/**
 * Adds that Redis has not acknowledged: kept, and told again until it does. While there are any, this instance does not say
 * that it is there, so that soon every guard lets every read through; see presence.ts.
 */

import { type Clock, Deadline, pause } from '@breakwater/kernel'
import { Outbox } from '../redis/outbox.js'
import { addUnacknowledged } from './guard-errors.js'

/** With more, the filter has to be built anew: the table has what can't be kept. */
const MOST_KEYS = 100_000
const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 500
/** For how long a Redis that has forgotten this instance may take to hear of it. */
const PATIENCE_MS = 4_000

const WOKEN = Symbol('woken')

export interface Creditor {
  /** Tells Redis of a key; rejects if it does not acknowledge it. */
  record(key: string): Promise<void>
  /**
   * Ms until every guard lets every read through for certain. Infinity: Redis does not know of this instance any more.
   * `undefined`: it never did.
   */
  opensInMs(): number | undefined
  /** Keys could not be kept. Rejects if Redis can't be told of that either. */
  lost(): Promise<void>
}

export class Debts {
  readonly #space: string
  readonly #creditor: Creditor
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #owed: Outbox
  /** Resolves when nothing is owed. */
  #paying: Promise<void> | undefined

  /** @param most keys that are kept. */
  constructor(space: string, creditor: Creditor, clock: Clock, signal: AbortSignal, most: number = MOST_KEYS) {
    this.#space = space
    this.#owed = new Outbox(most)
    this.#creditor = creditor
    this.#clock = clock
    this.#signal = signal
  }

  get size(): number {
    return this.#owed.size
  }

  get none(): boolean {
    return this.#owed.isEmpty
  }

  /** Takes a key over. Settles as an add does that was not acknowledged. */
  async take(key: string): Promise<void> {
    this.#signal.throwIfAborted()
    const { record, lost } = this.#creditor
    this.#owed.keep(
      this.#space,
      key,
      () => record(key),
      () => lost(),
    )
    this.#paying ??= this.#pay()
    const patience = new Deadline(this.#clock, PATIENCE_MS)
    for (;;) {
      const opensInMs = this.#creditor.opensInMs()
      if (opensInMs === undefined || (opensInMs === Number.POSITIVE_INFINITY && patience.expired)) {
        throw addUnacknowledged(this.#space)
      }
      if (opensInMs <= 0) return
      // Looked at anew at the end of each wait: the instant may have moved.
      const waitMs = opensInMs === Number.POSITIVE_INFINITY ? patience.remainingMs : opensInMs
      try {
        return await new Deadline(this.#clock, waitMs).race(this.#paying, () => WOKEN, this.#signal)
      } catch (reason) {
        if (reason !== WOKEN) throw reason
      }
    }
  }

  async #pay(): Promise<void> {
    let retryMs = FIRST_RETRY_MS
    while (!this.none && !this.#signal.aborted) {
      try {
        await this.#owed.flush()
      } catch {
        await pause(this.#clock, retryMs, this.#signal).catch(() => {})
        retryMs = Math.min(LAST_RETRY_MS, retryMs * 2)
      }
    }
    // One tick: no await between seeing that nothing is owed and saying so.
    this.#paying = undefined
  }
}
