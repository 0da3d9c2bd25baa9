/**
 * Keeps a Redis that does not answer from costing every caller the wait for it. The one door to opossum, whose state
 * machine decides when to open and lets one operation try after a while.
 */

import { BreakwaterError } from '@breakwater/kernel'
import CircuitBreaker from 'opossum'

/*
 * How opossum is used, and why so:
 *
 *   While all is well no operation goes through it: an operation costs one look at two fields. The first failure takes
 *   it in, and it is left out again when it has counted none for a whole window. (Around every call it costs half as
 *   much again as a GET itself.)
 *   `timeout: false`: its time-out would let go of a call that still runs; ours ends the wait and says so.
 *   `rollingPercentilesEnabled: false`: they are sorted anew at every failure.
 *   `errorFilter`: what Redis answers to a mistake is an answer. Its own rejections are never counted, since nothing is
 *   fired while it is open.
 */

export type BreakerState = 'closed' | 'open' | 'half-open'

export interface BreakerOptions {
  /** How long it stays open before one operation may try, in ms. */
  readonly resetMs: number
}

/** Over which failures are counted. */
const WINDOW_MS = 5_000
/** Operations in the window before a share of them means anything. */
const VOLUME = 10

/** Answers of a server that cannot serve at all: it loads its data, it is not the one to ask, or may not be it any more. */
const UNFIT = /^(LOADING|READONLY|CLUSTERDOWN|MASTERDOWN|NOREPLICAS)\b/

/** An error that Redis itself has answered with, to this one command. */
export function isAnswer(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError' && !UNFIT.test(error.message)
}

export class Breaker {
  readonly #circuit: CircuitBreaker<[operation: () => Promise<unknown>], unknown>
  readonly #resetMs: number
  /** Changes of the state so far, by the state that it came to. */
  readonly transitions: Record<BreakerState, number> = { closed: 0, open: 0, 'half-open': 0 }
  #watching = false
  #lastFailure: unknown

  constructor({ resetMs }: BreakerOptions) {
    this.#resetMs = resetMs
    this.#circuit = new CircuitBreaker((operation: () => Promise<unknown>) => operation(), {
      timeout: false,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      rollingCountTimeout: WINDOW_MS,
      rollingCountBuckets: 5,
      errorThresholdPercentage: 50,
      volumeThreshold: VOLUME,
      resetTimeout: resetMs,
      errorFilter: isAnswer,
    })
    this.#circuit.on('close', () => this.transitions.closed++)
    this.#circuit.on('open', () => this.transitions.open++)
    this.#circuit.on('halfOpen', () => this.transitions['half-open']++)
  }

  get state(): BreakerState {
    return this.#circuit.closed ? 'closed' : this.#circuit.halfOpen ? 'half-open' : 'open'
  }

  /** Runs `operation`, or rejects at once while Redis is not to be asked: kind `rejected`, code `REDIS_BREAKER_OPEN`. */
  run<T>(operation: () => Promise<T>): Promise<T> {
    if (!this.#watching) return operation().catch((error: unknown) => this.#noteFirst(error))
    if (this.#circuit.opened) return Promise.reject(this.#refusal())
    return this.#fire(operation)
  }

  /** Opens at once: the connection has been silent for as long as an answer may take. */
  trip(): void {
    this.#watching = true
    this.#circuit.open()
  }

  dispose(): void {
    this.#circuit.shutdown()
  }

  #noteFirst(error: unknown): never {
    if (!isAnswer(error)) {
      this.#watching = true
      // Counted like any other; its outcome is the caller's already.
      this.#fire(() => Promise.reject(error)).catch(() => {})
    }
    throw error
  }

  async #fire<T>(operation: () => Promise<T>): Promise<T> {
    try {
      const value = (await this.#circuit.fire(operation)) as T
      const { failures } = this.#circuit.stats
      if (failures === 0 && this.#circuit.closed) this.#watching = false
      return value
    } catch (error) {
      // Another operation is the one that tries.
      if ((error as { code?: unknown } | undefined)?.code === 'EOPENBREAKER') throw this.#refusal()
      if (!isAnswer(error)) this.#lastFailure = error
      throw error
    }
  }

  #refusal(): BreakwaterError {
    return new BreakwaterError(
      'rejected',
      'REDIS_BREAKER_OPEN',
      `Redis is not asked for up to ${this.#resetMs} ms, since it did not answer`,
      { cause: this.#lastFailure, retryAfterMs: this.#resetMs },
    )
  }
}
