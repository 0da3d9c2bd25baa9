/** Work on a guard's bits: one piece at a time, and after a failure not again at once. */

import type { Clock } from '@breakwater/kernel'
import type { Warn } from './warn.js'

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000

export class PacedWork {
  readonly #clock: Clock
  readonly #warn: Warn
  #current: Promise<void> | undefined
  #controller = new AbortController()
  #isOver = false
  #notBefore = 0
  #retryMs = FIRST_RETRY_MS

  constructor(clock: Clock, warn: Warn) {
    this.#clock = clock
    this.#warn = warn
  }

  /** What is under way. */
  get current(): Promise<void> | undefined {
    return this.#current
  }

  /** Whether a piece may begin by itself. */
  get mayBegin(): boolean {
    return this.#current === undefined && this.#clock.now() >= this.#notBefore
  }

  /** Begins a piece, or joins the one that is under way. Settles as that does. */
  run(piece: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#current ??= this.#run(piece).finally(() => {
      this.#current = undefined
    })
    this.#current.catch(() => {})
    return this.#current
  }

  /** Ends what is under way. */
  abort(reason: unknown): void {
    this.#controller.abort(reason)
    if (!this.#isOver) this.#controller = new AbortController()
  }

  /** Ends what is under way, and whatever would begin. */
  dispose(reason: unknown): void {
    this.#isOver = true
    this.abort(reason)
  }

  async #run(piece: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#controller
    signal.throwIfAborted()
    try {
      await piece(signal)
      this.#retryMs = FIRST_RETRY_MS
    } catch (error) {
      this.#notBefore = this.#clock.now() + this.#retryMs
      if (!signal.aborted)
        this.#warn('guard.failed', `could not be filled; next try in ${this.#retryMs} ms`, { err: error })
      this.#retryMs = Math.min(LAST_RETRY_MS, 2 * this.#retryMs)
      throw error
    }
  }
}
