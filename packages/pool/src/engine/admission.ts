/** Who may wait, and who is next: the callers in their order, the bound on their number, and what is shed of them. */

import type { BreakwaterError, Clock } from '@breakwater/kernel'
import { saturated, shed, tooLate } from './errors.js'
import type { Acquirer } from './leaks.js'
import { type Caller, Pending } from './pending.js'
import { Shedding, type ShedLimits } from './shedding.js'
import type { Report, ResourcePoolState } from './stats.js'

export interface AdmissionHooks {
  /** The pool as it is. */
  state(): ResourcePoolState
  /** A caller's time is up; returns the error for it. */
  timedOut(waitedMs: number): unknown
  /** A caller has left by its own signal. */
  aborted(): void
}

export interface AdmissionLimits {
  readonly clock: Clock
  readonly maxPending: number
  readonly shed: ShedLimits | undefined
}

export class Admission<V> {
  readonly #limits: AdmissionLimits
  readonly #hooks: AdmissionHooks
  readonly #report: Report
  readonly #shedding: Shedding
  readonly #callers: Pending<V>

  constructor(limits: AdmissionLimits, report: Report, hooks: AdmissionHooks) {
    this.#limits = limits
    this.#hooks = hooks
    this.#report = report
    this.#shedding = new Shedding(limits.shed)
    this.#callers = new Pending(limits.clock, {
      timedOut: waitedMs => {
        this.#shedding.lost(waitedMs)
        report.timedOut(waitedMs)
        return hooks.timedOut(waitedMs)
      },
      aborted: () => {
        report.counters.acquireAborted++
        hooks.aborted()
      },
    })
  }

  get pending(): number {
    return this.#callers.size
  }

  /** Whether the oldest caller, if there is one, said for how long it would wait at most. */
  get isBounded(): boolean {
    const oldest = this.#callers.oldest
    return oldest !== undefined && (oldest.patienceMs < Number.POSITIVE_INFINITY || oldest.signal !== undefined)
  }

  /** Notes how long a lease lasted. */
  used(ms: number): void {
    this.#report.used(ms)
    this.#shedding.used(ms)
  }

  /**
   * Queues a caller, unless too many wait already or it would wait in vain.
   * @param timeoutMs 0 to Infinity (never).
   * @param signal not aborted yet; its reason becomes the caller's error.
   * @param coming resources on their way to callers.
   */
  wait(timeoutMs: number, signal: AbortSignal | undefined, coming: number, acquirer: Acquirer | undefined): Promise<V> {
    const state = this.#hooks.state()
    if (this.pending - coming >= this.#limits.maxPending) {
      return this.refuse(saturated(state, this.#waitBehind(0, state)))
    }
    const expectedMs = this.#waitBehind(this.pending, state)
    if (this.#shedding.isTooLate(expectedMs, timeoutMs)) {
      this.#shedding.lost(timeoutMs)
      return this.refuse(tooLate(state, expectedMs, timeoutMs))
    }
    if (this.pending === 0) this.#shedding.rested()
    return this.#callers.wait(timeoutMs, signal, acquirer)
  }

  refuse(error: BreakwaterError): Promise<never> {
    this.#report.counters.acquireRejected++
    return Promise.reject(error)
  }

  /** Takes the oldest caller to be served, and sheds those before it that have waited for too long; there must be one. */
  next(): Caller<V> {
    const now = this.#limits.clock.now()
    // The last one is never shed: the resource is there for somebody.
    for (let oldest = this.#callers.oldest; oldest && this.pending > 1; oldest = this.#callers.oldest) {
      const waitedMs = now - oldest.since
      if (!this.#shedding.isOverdue(waitedMs, oldest.patienceMs)) break
      this.#report.counters.acquireShed++
      this.#shedding.lost(oldest.patienceMs)
      const state = this.#hooks.state()
      this.fail(shed(state, waitedMs, this.#waitBehind(state.pending - 1, state)))
    }
    const caller = this.#callers.take() as Caller<V>
    const waitedMs = now - caller.since
    this.#shedding.served(waitedMs, now)
    this.#report.waited(waitedMs)
    return caller
  }

  /** Rejects the oldest caller, if there is one. */
  fail(error: unknown): void {
    this.#callers.fail(error)
  }

  failAll(error: unknown): void {
    this.#callers.failAll(error)
  }

  /** Nothing is foretold unless all are at work: what is being opened or replaced would make it wrong. */
  #waitBehind(ahead: number, { leased, max }: ResourcePoolState): number | undefined {
    return leased < max ? undefined : this.#shedding.waitBehind(ahead, leased)
  }
}
