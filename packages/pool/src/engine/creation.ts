/** One call of the factory's `create`: it ends once, made, failed or given up, and what comes later is not lost. */

import type { Clock, Timer } from '@breakwater/kernel'
import type { ResourceFactory } from './options.js'

export interface CreationOutcome<T> {
  made(value: T, elapsedMs: number): void
  /** Also when it took too long; then `error` is what `timedOut` returned. */
  failed(error: unknown, elapsedMs: number): void
  timedOut(): unknown
  /** Came after the creation had ended otherwise: must be destroyed. */
  late(value: T): void
}

export class Creation<T> {
  readonly #clock: Clock
  readonly #startedAt: number
  readonly #outcome: CreationOutcome<T>
  readonly #controller = new AbortController()
  readonly #timer: Timer | undefined
  #ended = false
  /** Resolves when the factory has settled and its outcome has been told; perhaps long after the creation has ended. */
  readonly settled: Promise<void>

  constructor(factory: ResourceFactory<T>, timeoutMs: number, clock: Clock, outcome: CreationOutcome<T>) {
    this.#clock = clock
    this.#startedAt = clock.now()
    this.#outcome = outcome
    if (timeoutMs < Number.POSITIVE_INFINITY) {
      this.#timer = clock.schedule(timeoutMs, () => this.#giveUp(outcome.timedOut()))
    }
    const created = call(() => factory.create({ signal: this.#controller.signal }))
    this.settled = created.then(
      value => (this.#end() ? outcome.made(value, this.#elapsedMs) : outcome.late(value)),
      error => {
        if (this.#end()) outcome.failed(error, this.#elapsedMs)
      },
    )
  }

  /** Ends it without an outcome; what the factory still makes is told as `late`. */
  abandon(reason: unknown): void {
    if (this.#end()) this.#controller.abort(reason)
  }

  #giveUp(error: unknown): void {
    if (!this.#end()) return
    this.#controller.abort(error)
    this.#outcome.failed(error, this.#elapsedMs)
  }

  #end(): boolean {
    if (this.#ended) return false
    this.#ended = true
    this.#timer?.cancel()
    return true
  }

  get #elapsedMs(): number {
    return this.#clock.now() - this.#startedAt
  }
}

/** Calls `fn` at once, and rejects with what it throws. */
export function call<R>(fn: () => R | Promise<R>): Promise<R> {
  return new Promise(resolve => resolve(fn()))
}
