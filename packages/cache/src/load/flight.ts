/** One key being read or loaded in this process: all its callers share one outcome, a value or an error. */

import { BreakwaterError, type Clock, type Timer } from '@breakwater/kernel'

/** Where an answer came from. */
export type Source = 'memory' | 'redis' | 'loader' | 'stale' | 'absent'

export interface Outcome<V> {
  readonly value: V | null
  readonly source: Source
}

export class Flight<V> {
  /**
   * The key was invalidated while this flight was under way: its callers, who asked before that, may have its result,
   * but nobody after them, and no tier may keep it.
   */
  fenced = false
  outcome: Promise<Outcome<V>>
  /** Someone has been given an answer already, so a later failure is nobody's error. */
  settled = false

  readonly #clock: Clock
  readonly #hardTimeoutMs: number
  readonly #what: string
  #resolve!: (outcome: Outcome<V>) => void
  #reject!: (error: unknown) => void
  #hardTimer: Timer | undefined
  #woken = false
  #wake: (() => void) | undefined

  constructor(clock: Clock, hardTimeoutMs: number, what: string) {
    this.#clock = clock
    this.#hardTimeoutMs = hardTimeoutMs
    this.#what = what
    this.outcome = this.#open()
  }

  #open(): Promise<Outcome<V>> {
    const outcome = new Promise<Outcome<V>>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Whoever asked handles the error; a refresh behind has nobody, and must not end the process.
    outcome.catch(() => {})
    if (this.#hardTimeoutMs !== Number.POSITIVE_INFINITY) {
      this.#hardTimer = this.#clock.schedule(this.#hardTimeoutMs, () => this.#giveUpWaiting(), { keepAlive: true })
    }
    return outcome
  }

  /** Those who have waited for the whole hard time-out are told; the load goes on, and later callers join it afresh. */
  #giveUpWaiting(): void {
    const reject = this.#reject
    this.outcome = this.#open()
    reject(
      new BreakwaterError(
        'timeout',
        'CACHE_LOAD_TIMEOUT',
        `${this.#what}: no value after ${this.#hardTimeoutMs} ms; the load goes on`,
        {
          elapsedMs: this.#hardTimeoutMs,
        },
      ),
    )
  }

  settle(outcome: Outcome<V>): void {
    this.settled = true
    this.#hardTimer?.cancel()
    this.#resolve(outcome)
  }

  fail(error: unknown): void {
    this.#hardTimer?.cancel()
    this.#reject(error)
  }

  /** Forgets earlier wake-ups; call it before asking Redis, so that one that overtakes the reply is not lost. */
  listen(): void {
    this.#woken = false
  }

  /** The holder of the lease is done: look again. */
  wake(): void {
    this.#woken = true
    this.#wake?.()
  }

  /** Resolves at the next wake-up since `listen()`, or after `timeoutMs`. */
  async waitForWake(timeoutMs: number): Promise<void> {
    if (this.#woken) return
    await new Promise<void>(resolve => {
      const timer = this.#clock.schedule(timeoutMs, resolve, { keepAlive: true })
      this.#wake = () => {
        timer.cancel()
        resolve()
      }
    })
    this.#wake = undefined
  }
}
