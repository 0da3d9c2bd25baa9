/** What a pool counts, and what it reports while it works. */

import { type Durations, Events, Histogram } from '@breakwater/kernel'
import type { RetireReason } from './slot.js'

/** The pool at one instant. */
export interface ResourcePoolState {
  readonly name: string
  readonly idle: number
  /** With a caller, or on the way to one. */
  readonly leased: number
  readonly creating: number
  /** Callers that wait. */
  readonly pending: number
  readonly min: number
  readonly max: number
}

/** The pool at one instant, and what it has counted since it was made. A plain object of its own. */
export interface ResourcePoolStats extends ResourcePoolState {
  /** Leased ones past `maxLifetime`, to be destroyed when they are released. */
  readonly expired: number
  readonly acquired: number
  readonly created: number
  readonly createFailed: number
  readonly acquireTimedOut: number
  readonly acquireAborted: number
  /** Callers refused at once: too many wait, they would have waited in vain, or the pool is stopping. */
  readonly acquireRejected: number
  /** Callers rejected while they waited, because the queue was slow for too long. */
  readonly acquireShed: number
  /** Leases held for longer than `leakWarningAfter`. */
  readonly leaked: number
  /** Resources destroyed, by reason. */
  readonly retired: Readonly<Record<RetireReason, number>>
  /** How long callers waited who were served, those who were served at once among them. */
  readonly wait: Durations
  /** How long leases lasted, to about 10 ms: the clock that is read for them is the cheap one. */
  readonly use: Durations
  /** How long the factory took to make what it made. */
  readonly create: Durations
}

/** The counters of `ResourcePoolStats` while they are counted. */
export class Counters {
  acquired = 0
  created = 0
  createFailed = 0
  acquireTimedOut = 0
  acquireAborted = 0
  acquireRejected = 0
  acquireShed = 0
  leaked = 0
  readonly retired: Record<RetireReason, number> = {
    idle: 0,
    lifetime: 0,
    unhealthy: 0,
    leaked: 0,
    surplus: 0,
    drained: 0,
  }
  /** Of those who waited at all: who is served at once costs nothing here. */
  readonly wait: Histogram = new Histogram()
  readonly use: Histogram = new Histogram()
  readonly create: Histogram = new Histogram()

  read(): Omit<ResourcePoolStats, keyof ResourcePoolState | 'expired'> {
    const { retired, wait, use, create, ...counters } = this
    const atOnce = this.acquired - wait.count
    return { ...counters, retired: { ...retired }, wait: wait.read(atOnce), use: use.read(), create: create.read() }
  }
}

/** What a resource pool reports. `pool` is the pool's name, an `error` that of whoever failed. */
export type ResourcePoolEvent =
  | { readonly type: 'created'; readonly pool: string; readonly elapsedMs: number }
  | { readonly type: 'create-failed'; readonly pool: string; readonly elapsedMs: number; readonly error: unknown }
  | { readonly type: 'retired'; readonly pool: string; readonly reason: RetireReason }
  | { readonly type: 'destroy-failed'; readonly pool: string; readonly error: unknown }
  | { readonly type: 'acquire-timed-out'; readonly pool: string; readonly elapsedMs: number }
  /** A caller has held a lease for longer than `leakWarningAfter`; if `reclaimed`, it has been taken away. */
  | {
      readonly type: 'lease-leaked'
      readonly pool: string
      readonly heldMs: number
      /** The stack of the call that acquired it, one frame a line. */
      readonly acquiredAt: string
      readonly reclaimed: boolean
    }
  /** The deadline of a stop has passed: what is counted here was rejected, taken away, or given up. */
  | {
      readonly type: 'stop-forced'
      readonly pool: string
      readonly pending: number
      readonly leased: number
      readonly creating: number
    }

/** One duration as it is counted; told to those who keep histograms of their own. */
export interface ResourcePoolDuration {
  /** `wait`: of a caller who was served, 0 if at once; `use`: of a lease; `create`: of the factory. */
  readonly type: 'wait' | 'use' | 'create'
  readonly ms: number
}

/** Counts and tells in one place, so that nothing is counted and not told, or told and not counted. */
export class Report {
  readonly #pool: string
  readonly counters: Counters = new Counters()
  readonly events: Events<ResourcePoolEvent> = new Events()
  readonly durations: Events<ResourcePoolDuration> = new Events()

  constructor(pool: string) {
    this.#pool = pool
  }

  servedAtOnce(): void {
    if (this.durations.hasListeners) this.durations.emit({ type: 'wait', ms: 0 })
  }

  waited(ms: number): void {
    this.counters.wait.record(ms)
    if (this.durations.hasListeners) this.durations.emit({ type: 'wait', ms })
  }

  used(ms: number): void {
    this.counters.use.record(ms)
    if (this.durations.hasListeners) this.durations.emit({ type: 'use', ms })
  }

  created(elapsedMs: number): void {
    this.counters.created++
    this.counters.create.record(elapsedMs)
    if (this.durations.hasListeners) this.durations.emit({ type: 'create', ms: elapsedMs })
    this.events.emit({ type: 'created', pool: this.#pool, elapsedMs })
  }

  createFailed(elapsedMs: number, error: unknown): void {
    this.counters.createFailed++
    this.events.emit({ type: 'create-failed', pool: this.#pool, elapsedMs, error })
  }

  retired(reason: RetireReason): void {
    this.counters.retired[reason]++
    this.events.emit({ type: 'retired', pool: this.#pool, reason })
  }

  destroyFailed(error: unknown): void {
    this.events.emit({ type: 'destroy-failed', pool: this.#pool, error })
  }

  timedOut(elapsedMs: number): void {
    this.counters.acquireTimedOut++
    this.events.emit({ type: 'acquire-timed-out', pool: this.#pool, elapsedMs })
  }

  leaked(heldMs: number, acquiredAt: string, reclaimed: boolean): void {
    this.counters.leaked++
    this.events.emit({ type: 'lease-leaked', pool: this.#pool, heldMs, acquiredAt, reclaimed })
  }

  stopForced({ pending, leased, creating }: ResourcePoolState): void {
    if (pending + leased + creating === 0) return
    this.events.emit({ type: 'stop-forced', pool: this.#pool, pending, leased, creating })
  }
}
