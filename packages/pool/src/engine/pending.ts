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

/**
 * A doubly linked list, so that a caller leaves from the middle of a long queue as fast as from its head; and one timer,
 * for whoever's time is up first.
 */
export class Pending<V> {
  readonly #clock: Clock
  readonly #hooks: PendingHooks
  #oldest: Node<V> | undefined
  #newest: Node<V> | undefined
  #size = 0
  #timer: Timer | undefined
  /** When the timer fires; Infinity without one. */
  #dueAt = Number.POSITIVE_INFINITY
  /** Nobody's time is up before that of one who is older, as is so where all are equally patient. */
  #isInOrder = true

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
        until: since + timeoutMs,
        isWaiting: true,
        older: this.#newest,
        newer: undefined,
        onAbort: undefined,
      }
      if (this.#newest) this.#newest.newer = caller
      else this.#oldest = caller
      this.#isInOrder &&= !(caller.older && caller.older.until > caller.until)
      this.#newest = caller
      this.#size++
      if (caller.until < this.#dueAt) this.#schedule(caller.until)
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

  /** Someone waits for the answer: the process must not end before it. */
  #schedule(at: number): void {
    this.#timer?.cancel()
    this.#dueAt = at
    this.#timer = this.#clock.schedule(Math.max(0, at - this.#clock.now()), this.#expire, { keepAlive: true })
  }

  readonly #expire = (): void => {
    const now = this.#clock.now()
    this.#dueAt = Number.POSITIVE_INFINITY
    let nextAt = Number.POSITIVE_INFINITY
    const due: Node<V>[] = []
    for (let caller = this.#oldest; caller; caller = caller.newer) {
      if (caller.until <= now) due.push(caller)
      else nextAt = Math.min(nextAt, caller.until)
      if (this.#isInOrder && caller.until > now) break
    }
    if (nextAt < Number.POSITIVE_INFINITY) this.#schedule(nextAt)
    for (const caller of due) {
      // The end of one may have been the turn of another.
      if (!caller.isWaiting) continue
      this.#remove(caller)
      caller.reject(this.#hooks.timedOut(now - caller.since))
    }
  }

  #remove(caller: Node<V>): void {
    caller.isWaiting = false
    if (caller.older) caller.older.newer = caller.newer
    else this.#oldest = caller.newer
    if (caller.newer) caller.newer.older = caller.older
    else this.#newest = caller.older
    this.#size--
    if (this.#size === 0) this.#rest()
    if (caller.onAbort) caller.signal?.removeEventListener('abort', caller.onAbort)
  }

  #rest(): void {
    this.#timer?.cancel()
    this.#dueAt = Number.POSITIVE_INFINITY
    this.#isInOrder = true
  }
}

interface Node<V> extends Caller<V> {
  readonly until: number
  isWaiting: boolean
  older: Node<V> | undefined
  newer: Node<V> | undefined
  onAbort: (() => void) | undefined
}
