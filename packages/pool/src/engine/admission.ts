/**
 * Who may wait, and who is next: the callers in their order, the bound on their number, and what is shed of them. Those who
 * would share a lease wait apart from the others, since one lease may serve all of them.
 */

import type { BreakwaterError, Clock } from '@breakwater/kernel'
import { saturated, shed, tooLate } from './errors.js'
import type { Acquirer } from './leaks.js'
import { type Caller, Pending } from './pending.js'
import { Shedding, type ShedLimits } from './shedding.js'
import type { Report, ResourcePoolState } from './stats.js'

/** How many may wait for each lease before another one is opened for them. */
const SHARERS_OF_A_LEASE = 64

/** Who waits. */
export interface Waiting {
  /** Callers who want a lease of their own. */
  readonly alone: number
  /** Callers who would share a lease. */
  readonly sharers: number
  /** Leases that would serve all of them. */
  readonly demand: number
}

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

export class Admission<V> implements Waiting {
  readonly #limits: AdmissionLimits
  readonly #hooks: AdmissionHooks
  readonly #report: Report
  readonly #shedding: Shedding
  readonly #alone: Pending<V>
  readonly #sharers: Pending<V>

  constructor(limits: AdmissionLimits, report: Report, hooks: AdmissionHooks) {
    this.#limits = limits
    this.#hooks = hooks
    this.#report = report
    this.#shedding = new Shedding(limits.shed)
    const pendingHooks = {
      timedOut: (waitedMs: number): unknown => {
        this.#shedding.lost(waitedMs)
        report.timedOut(waitedMs)
        return hooks.timedOut(waitedMs)
      },
      aborted: (): void => {
        report.counters.acquireAborted++
        hooks.aborted()
      },
    }
    this.#alone = new Pending(limits.clock, pendingHooks)
    this.#sharers = new Pending(limits.clock, pendingHooks)
  }

  get pending(): number {
    return this.#alone.size + this.#sharers.size
  }

  get alone(): number {
    return this.#alone.size
  }

  get sharers(): number {
    return this.#sharers.size
  }

  get demand(): number {
    return this.#alone.size + Math.ceil(this.#sharers.size / SHARERS_OF_A_LEASE)
  }

  /** Whether the oldest caller, if there is one, said for how long it would wait at most. */
  get isBounded(): boolean {
    const oldest = this.#queueOf(this.#isSharerOldest()).oldest
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
  wait(
    timeoutMs: number,
    signal: AbortSignal | undefined,
    coming: number,
    acquirer: Acquirer | undefined,
    shared: boolean,
  ): Promise<V> {
    const state = this.#hooks.state()
    if (this.pending - coming >= this.#limits.maxPending) {
      return this.refuse(saturated(state, this.#waitBehind(0, state)))
    }
    // A sharer waits for the next lease, however many others do.
    const expectedMs = shared ? undefined : this.#waitBehind(this.#alone.size, state)
    if (this.#shedding.isTooLate(expectedMs, timeoutMs)) {
      this.#shedding.lost(timeoutMs)
      return this.refuse(tooLate(state, expectedMs, timeoutMs))
    }
    if (this.pending === 0) this.#shedding.rested()
    return this.#queueOf(shared).wait(timeoutMs, signal, acquirer)
  }

  refuse(error: BreakwaterError): Promise<never> {
    this.#report.counters.acquireRejected++
    return Promise.reject(error)
  }

  /** Whether the next lease is for sharers; someone must wait. While none is shared they come first: one serves them all. */
  isTurnOfSharers(sharedLeases: number): boolean {
    return this.#sharers.size > 0 && (sharedLeases === 0 || this.#isSharerOldest())
  }

  /**
   * Takes the oldest caller to be served, of the sharers or of the others, and sheds those before it that have waited for
   * too long; there must be one.
   */
  next(ofSharers: boolean): Caller<V> {
    const now = this.#limits.clock.now()
    const queue = this.#queueOf(ofSharers)
    // The last one is never shed: the resource is there for somebody.
    for (let oldest = queue.oldest; oldest && queue.size > 1; oldest = queue.oldest) {
      const waitedMs = now - oldest.since
      if (!this.#shedding.isOverdue(waitedMs, oldest.patienceMs)) break
      this.#report.counters.acquireShed++
      this.#shedding.lost(oldest.patienceMs)
      const state = this.#hooks.state()
      queue.fail(shed(state, waitedMs, this.#waitBehind(state.pending - 1, state)))
    }
    const caller = queue.take() as Caller<V>
    const waitedMs = now - caller.since
    this.#shedding.served(waitedMs, now)
    this.#report.waited(waitedMs)
    return caller
  }

  /** Rejects the oldest caller, if there is one. */
  fail(error: unknown): void {
    this.#queueOf(this.#isSharerOldest()).fail(error)
  }

  failAll(error: unknown): void {
    this.#alone.failAll(error)
    this.#sharers.failAll(error)
  }

  #queueOf(sharers: boolean): Pending<V> {
    return sharers ? this.#sharers : this.#alone
  }

  #isSharerOldest(): boolean {
    const { since = Number.POSITIVE_INFINITY } = this.#alone.oldest ?? {}
    return (this.#sharers.oldest?.since ?? Number.POSITIVE_INFINITY) < since
  }

  /** Nothing is foretold unless all are at work: what is being opened or replaced would make it wrong. */
  #waitBehind(ahead: number, { leased, max }: ResourcePoolState): number | undefined {
    return leased < max ? undefined : this.#shedding.waitBehind(ahead, leased)
  }
}
