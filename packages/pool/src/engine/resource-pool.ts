/**
 * A pool of anything that is costly to make. A caller waits for a resource, never for a particular one, and never
 * without an end: it is served, or rejected by its time-out, its signal, the factory's error, or the pool's stop.
 */

import { Deadline, type Managed } from '@breakwater/kernel'
import type { Waiting } from './admission.js'
import { Engine } from './engine.js'
import { drainTimeout } from './errors.js'
import type { Lease } from './lease.js'
import { type ResolvedOptions, type ResourcePoolOptions, resolveOptions, resolveSize, type Size } from './options.js'
import type { RetireReason } from './slot.js'
import type { ResourcePoolDuration, ResourcePoolEvent, ResourcePoolState, ResourcePoolStats } from './stats.js'
import { type AcquireOptions, deadlineOf, type StopOptions, timeoutOf } from './waits.js'

export class ResourcePool<T> implements Managed, AsyncDisposable {
  readonly name: string
  readonly #options: ResolvedOptions<T>
  readonly #engine: Engine<T>
  #stopped: Promise<void> | undefined

  /** @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`, listing every fault. */
  constructor(options: ResourcePoolOptions<T>) {
    this.#options = resolveOptions(options)
    this.#engine = new Engine(this.#options)
    this.name = this.#options.name
  }

  /** Opens `min` resources, at least one, and keeps `min` open from then on. Rejects if not one could be opened. */
  async init(options?: StopOptions): Promise<void> {
    const timeout = deadlineOf(this.#options.clock, options, this.#options.acquireTimeoutMs).remainingMs
    // Leasing that many at once makes the pool open what is missing, and brings the factory's error here.
    const { min, leased, creating } = this.#engine.state()
    const length = Math.max(1, min - leased - creating)
    const leases = Array.from({ length }, () => this.acquire({ timeout, signal: options?.signal }))
    const outcomes = await Promise.allSettled(leases)
    for (const outcome of outcomes) if (outcome.status === 'fulfilled') outcome.value.release()
    const [first] = outcomes
    if (first?.status === 'rejected' && outcomes.every(({ status }) => status === 'rejected')) throw first.reason
    this.#engine.keepMin()
  }

  /**
   * Resolves with a lease, first come, first served. Rejects with the factory's own error if a creation fails while this
   * caller is the one that has waited longest (unless `isTransient` says that waiting helps); with the signal's reason;
   * or with a `BreakwaterError`: `POOL_ACQUIRE_TIMEOUT` (kind `timeout`), `POOL_SATURATED` (kind `rejected`, with
   * `retryAfterMs` if that is known) or `POOL_STOPPING` (kind `rejected`).
   */
  acquire(options?: AcquireOptions): Promise<Lease<T>> {
    const signal = options?.signal
    if (signal?.aborted) return Promise.reject(signal.reason)
    const shared = options?.shared === true
    const lease = this.#engine.lease(shared)
    if (lease) return Promise.resolve(lease)
    return this.#engine.wait(timeoutOf(options, this.#options.acquireTimeoutMs), signal, shared)
  }

  /** Returns a lease at once if a resource is idle, needs no validation, and nobody waits for it. */
  tryAcquire({ shared = false }: Pick<AcquireOptions, 'shared'> = {}): Lease<T> | undefined {
    return this.#engine.lease(shared)
  }

  /**
   * Has the caller join a shared lease who has waited longest of those who acquire with `shared`; false if there is none.
   * The lease ends once, for all who share it; who holds it ends it soon when others are `waiting` for one of their own.
   */
  join(lease: Lease<T>): boolean {
    return this.#engine.join(lease)
  }

  /** Opens one more resource, to rest until someone comes, if there is room and none on its way. */
  openAnother(): void {
    this.#engine.openAnother()
  }

  /** Callers who wait, and the leases that would serve them. */
  get waiting(): Waiting {
    return this.#engine.waiting
  }

  /** The coarse instant at which `openAnother` found no room last; -Infinity if it always has. */
  get shortAt(): number {
    return this.#engine.shortAt
  }

  /**
   * Returns a lease of an idle resource, that one if `value` is given, for what its owner does with it beside its users: a
   * look at it, a word to its server. It counts as no use of the resource, and its idle time runs on.
   */
  borrow(value?: T): Lease<T> | undefined {
    return this.#engine.borrow(value)
  }

  /** Calls `fn` with a resource, and gives it back when the promise that `fn` returns is settled. */
  async use<R>(fn: (value: T, lease: Lease<T>) => R | Promise<R>, options?: AcquireOptions): Promise<R> {
    const lease = await this.acquire(options)
    try {
      return await fn(lease.value, lease)
    } finally {
      await lease[Symbol.asyncDispose]()
    }
  }

  /** Destroys a resource of this pool: now if it is idle, else as soon as its lease ends. */
  retire(value: T, reason: RetireReason = 'unhealthy'): void {
    this.#engine.retire(value, reason)
  }

  /**
   * Changes the limits. Growing serves those who wait at once; when shrinking, creations are given up first, then idle
   * resources go, used longest ago first, then others as they are released, all with reason `surplus`.
   * @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`.
   */
  resize(size: Size): void {
    this.#engine.resize(resolveSize(size, this.#engine.state()))
  }

  /**
   * Refuses new callers and resolves when those that wait have been served and every lease has ended. Past the deadline
   * (default: none) it rejects with kind `timeout`, code `POOL_DRAIN_TIMEOUT`, and all goes on as before.
   */
  async drain(options?: StopOptions): Promise<void> {
    const { at } = deadlineOf(this.#options.clock, options, Number.POSITIVE_INFINITY)
    const deadline = new Deadline(this.#options.clock, at - this.#options.clock.now())
    this.#engine.startDraining()
    await deadline.race(this.#engine.unused.until(options?.signal), () =>
      drainTimeout(deadline.elapsedMs, this.#engine.state()),
    )
  }

  /**
   * Drains, then destroys every resource, and resolves when they are gone. Past the deadline (default `drainTimeout`)
   * callers are rejected with `POOL_STOPPING`, leases taken away, creations given up. Never rejects. Another call may
   * bring the deadline forward.
   */
  dispose(options?: StopOptions): Promise<void> {
    const { remainingMs } = deadlineOf(this.#options.clock, options, this.#options.drainTimeoutMs)
    const force = (): void => this.#engine.forceStop()
    const signal = options?.signal
    this.#engine.startDraining()
    const timer = this.#options.clock.schedule(remainingMs, force, { keepAlive: true })
    if (signal?.aborted) force()
    signal?.addEventListener('abort', force)
    this.#stopped ??= this.#engine.unused.until().then(() => this.#engine.finishStop())
    return this.#stopped.finally(() => {
      timer.cancel()
      signal?.removeEventListener('abort', force)
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** Calls `listener` with each event from now on, until the returned function is called. */
  observe(listener: (event: ResourcePoolEvent) => void): () => void {
    return this.#engine.report.events.subscribe(listener)
  }

  /** Calls `listener` with each duration as it is counted, until the returned function is called; for metrics. */
  observeDurations(listener: (duration: ResourcePoolDuration) => void): () => void {
    return this.#engine.report.durations.subscribe(listener)
  }

  /** The pool at this instant, for those who ask often. */
  state(): ResourcePoolState {
    return this.#engine.state()
  }

  /** The same, with all that was counted; works out the distributions. */
  stats(): ResourcePoolStats {
    return this.#engine.stats()
  }
}
