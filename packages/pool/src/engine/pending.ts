/** Callers that wait, first come, first served. Each leaves exactly once: served, failed, timed out or aborted. */

import type { Clock, Timer } from '@breakwater/kernel'

/** What the queue's owner is told, and asked. */
export interface PendingHooks {
  /** A caller's time is up; returns the error for it. */
  timedOut(waitedMs: number): unknown
  /** A caller has left by its own signal. */
  aborted(): void
}

/** A doubly linked list, so that a caller leaves from the middle of a long queue as fast as from its head. */
export class Pending<V> {
  readonly #clock: Clock
  readonly #hooks: PendingHooks
  #oldest: Caller<V> | undefined
  #newest: Caller<V> | undefined
  #size = 0

  constructor(clock: Clock, hooks: PendingHooks) {
    this.#clock = clock
    this.#hooks = hooks
  }

  get size(): number {
    return this.#size
  }

  /**
   * Queues a caller.
   * @param timeoutMs 0 to Infinity (never).
   * @param signal not aborted yet; its reason becomes the caller's error.
   */
  wait(timeoutMs: number, signal: AbortSignal | undefined): Promise<V> {
    return new Promise((resolve, reject) => {
      const caller: Caller<V> = { resolve, reject, older: this.#newest }
      if (this.#newest) this.#newest.newer = caller
      else this.#oldest = caller
      this.#newest = caller
      this.#size++

      if (timeoutMs < Number.POSITIVE_INFINITY) {
        const startedAt = this.#clock.now()
        const timedOut = () => {
          this.#remove(caller)
          reject(this.#hooks.timedOut(this.#clock.now() - startedAt))
        }
        // Someone waits for the answer: the process must not end before it.
        caller.timer = this.#clock.schedule(timeoutMs, timedOut, { keepAlive: true })
      }
      if (signal) {
        caller.signal = signal
        caller.onAbort = () => {
          this.#remove(caller)
          reject(signal.reason)
          this.#hooks.aborted()
        }
        signal.addEventListener('abort', caller.onAbort, { once: true })
      }
    })
  }

  /** Resolves the oldest caller; there must be one. */
  serve(value: V): void {
    this.#removeOldest()?.resolve(value)
  }

  /** Rejects the oldest caller, if there is one. */
  fail(error: unknown): void {
    this.#removeOldest()?.reject(error)
  }

  failAll(error: unknown): void {
    while (this.#size > 0) this.fail(error)
  }

  #removeOldest(): Caller<V> | undefined {
    const caller = this.#oldest
    if (caller) this.#remove(caller)
    return caller
  }

  #remove(caller: Caller<V>): void {
    if (caller.older) caller.older.newer = caller.newer
    else this.#oldest = caller.newer
    if (caller.newer) caller.newer.older = caller.older
    else this.#newest = caller.older
    this.#size--
    caller.timer?.cancel()
    if (caller.onAbort) caller.signal?.removeEventListener('abort', caller.onAbort)
  }
}

interface Caller<V> {
  readonly resolve: (value: V) => void
  readonly reject: (reason: unknown) => void
  older: Caller<V> | undefined
  newer?: Caller<V> | undefined
  timer?: Timer
  signal?: AbortSignal
  onAbort?: () => void
}
