/** Callers that wait, first come, first served. Each leaves exactly once: served, failed, timed out or aborted. */

import type { Clock, Timer } from '@breakwater/kernel'
import type { Acquirer } from './leaks.js'

/** What the queue's owner is told, and asked. */
export interface PendingHooks {
  /** A caller's time is up; returns the error for it. */
  timedOut(waitedMs: number): unknown
  /** A caller has left by its own signal. */
  aborted(): void
}

/** One who waits. */
export interface Caller<V> {
  readonly resolve: (value: V) => void
  readonly reject: (reason: unknown) => void
  readonly since: number
  /** The longest it waits; Infinity too if only its signal ends the wait. */
  readonly patienceMs: number
  readonly signal: AbortSignal | undefined
  readonly acquirer: Acquirer | undefined
}

/** A doubly linked list, so that a caller leaves from the middle of a long queue as fast as from its head. */
export class Pending<V> {
  readonly #clock: Clock
  readonly #hooks: PendingHooks
  #oldest: Node<V> | undefined
  #newest: Node<V> | undefined
  #size = 0

  constructor(clock: Clock, hooks: PendingHooks) {
    this.#clock = clock
    this.#hooks = hooks
  }

  get size(): number {
    return this.#size
  }

  get oldest(): Caller<V> | undefined {
    return this.#oldest
  }

  /**
   * Queues a caller.
   * @param timeoutMs 0 to Infinity (never).
   * @param signal not aborted yet; its reason becomes the caller's error.
   */
  wait(timeoutMs: number, signal: AbortSignal | undefined, acquirer: Acquirer | undefined): Promise<V> {
    const since = this.#clock.now()
    return new Promise((resolve, reject) => {
      const caller: Node<V> = {
        resolve,
        reject,
        since,
        patienceMs: timeoutMs,
        signal,
        acquirer,
        older: this.#newest,
        newer: undefined,
        timer: undefined,
        onAbort: undefined,
      }
      if (this.#newest) this.#newest.newer = caller
      else this.#oldest = caller
      this.#newest = caller
      this.#size++

      if (timeoutMs < Number.POSITIVE_INFINITY) {
        const timedOut = () => {
          this.#remove(caller)
          reject(this.#hooks.timedOut(this.#clock.now() - since))
        }
        // Someone waits for the answer: the process must not end before it.
        caller.timer = this.#clock.schedule(timeoutMs, timedOut, { keepAlive: true })
      }
      if (signal) {
        caller.onAbort = () => {
          this.#remove(caller)
          reject(signal.reason)
          this.#hooks.aborted()
        }
        signal.addEventListener('abort', caller.onAbort, { once: true })
      }
    })
  }

  /** Takes the oldest caller, if there is one, to be answered. */
  take(): Caller<V> | undefined {
    const caller = this.#oldest
    if (caller) this.#remove(caller)
    return caller
  }

  /** Rejects the oldest caller, if there is one. */
  fail(error: unknown): void {
    this.take()?.reject(error)
  }

  failAll(error: unknown): void {
    while (this.#size > 0) this.fail(error)
  }

  #remove(caller: Node<V>): void {
    if (caller.older) caller.older.newer = caller.newer
    else this.#oldest = caller.newer
    if (caller.newer) caller.newer.older = caller.older
    else this.#newest = caller.older
    this.#size--
    caller.timer?.cancel()
    if (caller.onAbort) caller.signal?.removeEventListener('abort', caller.onAbort)
  }
}

interface Node<V> extends Caller<V> {
  older: Node<V> | undefined
  newer: Node<V> | undefined
  timer: Timer | undefined
  onAbort: (() => void) | undefined
}
