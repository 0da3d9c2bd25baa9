/**
 * Where callers and resources meet, and the only file in which they can race: every caller is settled, every resource is
 * leased, idle, on its way, or destroyed, whatever happens in whatever order.
 */

/*
 * How it works
 *
 *                    acquire                                      release
 *                       |                                            |
 *                       v             serve                          v
 *      +----------- pending ---------------------------- lease ---- slot
 *      | wanted         ^                                  ^         |
 *      v                | failed: the oldest gets          |         | nobody waits
 *   creation -----------+ the factory's own error          | take    v
 *      |                                                   +------- idle ----> evicted
 *      | made                                              |         |
 *      +---------------------------------------------------+---------+
 *
 * The pool is a set of slots and a queue of callers, and every event moves both on. A slot is opening (the factory is at
 * work), idle, checking (being validated), leased, or closed. Four rules decide everything:
 *
 * 1. Whoever comes first, resource or caller, waits for the other. A creation is started because callers wait, but not
 *    for one of them: what is freed meanwhile goes to the oldest caller, and what the creation makes goes to the oldest
 *    at that time, or to rest. (Bound to its own connection, a caller waits for a slow connect while others are freed.)
 * 2. `idle + checking + leased + opening <= max`, because a slot is opened before the factory is called, in the same
 *    tick in which the limit was compared. No await stands between a decision and the state that it changes: every
 *    method here that has one re-reads the slot's state behind it.
 * 3. One failed creation rejects one caller, the oldest, with the factory's own error; the rest wait on. After a failure
 *    one creation runs at a time, spaced by a back-off that all callers share, so that a server that is down meets one
 *    attempt now and then, however many callers there are.
 * 4. Nothing is lost. A creation may be given up (time-out, stop), but what it makes afterwards is destroyed, and a stop
 *    waits for it. A slot leaves the pool by `#drop` alone, and its resource is destroyed once.
 *
 * Stopping has three phases: open, draining (no new callers, those that wait are still served, what nobody waits for is
 * destroyed), stopped (the rest is rejected, taken away, given up). A stop that hangs on a caller who never releases is
 * ended by its deadline; a lease whose slot was taken away may still be released, which then does nothing.
 *
 * Who keeps what: `Store` the slots (over generic-pool), `Pending` the callers, `Backoff` the spacing of creations,
 * `Evictor` the ages, `Creation` one call of the factory. Only this file knows more than one of them.
 */

import { AsyncResource } from 'node:async_hooks'
import { type BreakwaterError, type Clock, Deadline, Events } from '@breakwater/kernel'
import { Backoff } from './backoff.js'
import { Creation, call } from './creation.js'
import { acquireTimeout, createTimeout, destroyTimeout, saturated, stopping } from './errors.js'
import { Evictor } from './evictor.js'
import { Gate } from './gate.js'
import { type Lease, SlotLease } from './lease.js'
import type { ResolvedOptions } from './options.js'
import { Pending } from './pending.js'
import type { RetireReason, Slot } from './slot.js'
import { Counters, type ResourcePoolEvent, type ResourcePoolStats } from './stats.js'
import { Store } from './store.js'
import { isValid } from './validation.js'

export class Engine<T> {
  readonly #options: ResolvedOptions<T>
  readonly #clock: Clock
  readonly #store: Store<T>
  /** Every slot that is not closed. */
  readonly #slots = new Set<Slot<T>>()
  readonly #pending: Pending<Lease<T>>
  readonly #backoff: Backoff
  readonly #evictor: Evictor<T>
  readonly #counters = new Counters()
  /** A creation runs in the context in which the pool was made, not in that of the caller who happened to start it. */
  readonly #context = new AsyncResource('breakwater.ResourcePool')
  #phase: 'open' | 'draining' | 'stopped' = 'open'
  #keepsMin = false
  #opening = 0
  #checking = 0
  /** Resources being destroyed, and given-up creations that have not settled. */
  readonly #endings = new Set<Promise<void>>()
  readonly events: Events<ResourcePoolEvent> = new Events()
  /** Opens when the pool is draining and nobody waits or has a lease. */
  readonly unused: Gate = new Gate()

  constructor(options: ResolvedOptions<T>) {
    const { clock, random } = options
    this.#options = options
    this.#clock = clock
    this.#store = new Store(slot => {
      if (slot.retired) this.#destroy(slot.value, slot.retired)
    })
    this.#pending = new Pending(clock, {
      timedOut: waitedMs => this.#timedOut(waitedMs),
      aborted: () => this.#aborted(),
    })
    this.#backoff = new Backoff(clock, random, () => this.#moveOn())
    this.#evictor = new Evictor(clock, options, this.#store, (slot, reason) => this.#evict(slot, reason))
  }

  // Callers

  /** Leases an idle resource at once, if there is one that needs no validation and nobody waits for it. */
  lease(): Lease<T> | undefined {
    if (this.#phase !== 'open' || this.#pending.size > 0) return undefined
    const slot = this.#store.peek()
    if (!slot || this.#isStale(slot)) return undefined
    this.#store.take()
    return this.#lend(slot)
  }

  /** Queues a caller. */
  wait(timeoutMs: number, signal: AbortSignal | undefined): Promise<Lease<T>> {
    if (this.#phase !== 'open') return this.#refuse(stopping(this.stats()))
    if (this.#isSaturated()) return this.#refuse(saturated(this.stats()))
    const served = this.#pending.wait(timeoutMs, signal)
    this.#moveOn()
    return served
  }

  #lend(slot: Slot<T>): Lease<T> {
    slot.state = 'leased'
    this.#counters.acquired++
    return new SlotLease(slot, this.#giveBack)
  }

  readonly #giveBack = (slot: Slot<T>, reason: RetireReason | undefined): void => {
    // Closed: a forced stop has taken it away, which is not the holder's fault.
    if (slot.state === 'closed') return
    slot.uses++
    slot.retired ??= reason
    this.#settle(slot)
    this.#moveOn()
  }

  #refuse(error: BreakwaterError): Promise<never> {
    this.#counters.acquireRejected++
    return Promise.reject(error)
  }

  #timedOut(elapsedMs: number): unknown {
    this.#counters.acquireTimedOut++
    this.events.emit({ type: 'acquire-timed-out', pool: this.#options.name, elapsedMs })
    const error = acquireTimeout(elapsedMs, this.stats(), this.#backoff.lastError)
    this.#moveOn()
    return error
  }

  #aborted(): void {
    this.#counters.acquireAborted++
    this.#moveOn()
  }

  #isSaturated(): boolean {
    if (this.#store.size < this.#options.max && this.#backoff.allows(this.#opening)) return false
    return this.#pending.size - this.#opening - this.#checking >= this.#options.maxPending
  }

  // What every event ends with

  /** Moves callers and slots on as far as they go; finds nothing to do when called once too often. */
  #moveOn(): void {
    while (this.#pending.size > this.#checking && this.#store.idle > 0) {
      const slot = this.#store.take() as Slot<T>
      if (this.#isStale(slot)) void this.#check(slot)
      else this.#pending.serve(this.#lend(slot))
    }
    while (this.#wantsMore() && this.#backoff.allows(this.#opening)) this.#open()
    if (this.#wantsMore() && this.#opening === 0) this.#backoff.arm(this.#pending.size > 0)
    if (this.#phase !== 'open' && this.#pending.size === 0 && this.#leased === 0) this.unused.open()
  }

  #wantsMore(): boolean {
    if (this.#store.size >= this.#options.max || this.#phase === 'stopped') return false
    if (this.#pending.size > this.#opening + this.#checking) return true
    return this.#keepsMin && this.#phase === 'open' && this.#store.size < this.#options.min
  }

  /** For a slot that has just become free: to the oldest caller, to rest, or away. */
  #settle(slot: Slot<T>): void {
    slot.retired ??= this.#isWornOut(slot) ? 'lifetime' : undefined
    if (slot.retired) this.#drop(slot)
    else if (this.#pending.size > 0) this.#pending.serve(this.#lend(slot))
    else if (this.#phase !== 'open') this.#retire(slot, 'drained')
    else {
      slot.idleSince = this.#clock.coarse()
      this.#store.put(slot)
      this.#evictor.arm(slot)
    }
  }

  #isWornOut(slot: Slot<T>): boolean {
    const { maxUses, maxLifetimeMs } = this.#options
    if (slot.uses >= maxUses) return true
    // Infinity is asked first, because the clock costs more than all the rest of a release.
    return maxLifetimeMs < Number.POSITIVE_INFINITY && this.#clock.now() >= slot.createdAt + maxLifetimeMs
  }

  // Creations

  /** Keeps `min` resources open from now on. */
  keepMin(): void {
    this.#keepsMin = true
    this.#moveOn()
  }

  #open(): void {
    // One tick: the slot counts before the factory's code runs, which may call back into the pool.
    const slot = this.#store.open()
    this.#slots.add(slot)
    this.#opening++
    const { factory, createTimeoutMs } = this.#options
    this.#context.runInAsyncScope(() => {
      slot.creation = new Creation(factory, createTimeoutMs, this.#clock, {
        made: (value, elapsedMs) => this.#made(slot, value, elapsedMs),
        failed: (error, elapsedMs) => this.#failed(slot, error, elapsedMs),
        timedOut: () => createTimeout(createTimeoutMs, this.stats()),
        late: value => this.#destroy(value, 'surplus'),
      })
    })
  }

  #made(slot: Slot<T>, value: T, elapsedMs: number): void {
    this.#opening--
    slot.creation = undefined
    slot.value = value
    slot.createdAt = this.#clock.now()
    this.#backoff.succeeded()
    this.#counters.created++
    this.events.emit({ type: 'created', pool: this.#options.name, elapsedMs })
    this.#settle(slot)
    this.#moveOn()
  }

  #failed(slot: Slot<T>, error: unknown, elapsedMs: number): void {
    this.#giveUp(slot, error)
    this.#backoff.failed(error)
    this.#counters.createFailed++
    this.events.emit({ type: 'create-failed', pool: this.#options.name, elapsedMs, error })
    this.#pending.fail(error)
    this.#moveOn()
  }

  #giveUp(slot: Slot<T>, reason: unknown): void {
    this.#opening--
    slot.creation?.abandon(reason)
    if (slot.creation) this.#await(slot.creation.settled)
    this.#drop(slot)
  }

  // Validation

  #isStale(slot: Slot<T>): boolean {
    const { factory, validateAfterIdleMs } = this.#options
    return factory.validate !== undefined && this.#clock.coarse() - slot.idleSince > validateAfterIdleMs
  }

  async #check(slot: Slot<T>): Promise<void> {
    slot.state = 'checking'
    this.#checking++
    const valid = await isValid(this.#options, slot.value)
    this.#checking--
    if (!this.#slots.has(slot)) return
    if (!valid) slot.retired ??= 'unhealthy'
    this.#settle(slot)
    this.#moveOn()
  }

  // Ends

  /** Destroys a resource: now if it is idle, else as soon as its lease or its validation ends. */
  retire(value: T, reason: RetireReason): void {
    for (const slot of this.#slots) {
      if (slot.value !== value || slot.state === 'opening') continue
      slot.retired ??= reason
      if (slot.state === 'idle') this.#drop(slot)
      this.#moveOn()
      return
    }
  }

  #evict(slot: Slot<T>, reason: RetireReason): void {
    this.#retire(slot, reason)
    this.#moveOn()
  }

  #retire(slot: Slot<T>, reason: RetireReason): void {
    slot.retired = reason
    this.#drop(slot)
  }

  /** The only way out; the store calls `#destroy` for what has a resource. */
  #drop(slot: Slot<T>): void {
    this.#slots.delete(slot)
    this.#store.remove(slot)
  }

  #destroy(value: T, reason: RetireReason): void {
    this.#counters.retired[reason]++
    this.events.emit({ type: 'retired', pool: this.#options.name, reason })
    const force = this.#phase === 'stopped'
    const destroyed = call(() => this.#options.factory.destroy(value, { reason, force }))
    this.#await(destroyed.catch(error => this.#destroyFailed(error)))
  }

  #destroyFailed(error: unknown): void {
    this.events.emit({ type: 'destroy-failed', pool: this.#options.name, error })
  }

  #await(ending: Promise<void>): void {
    this.#endings.add(ending)
    void ending.then(() => this.#endings.delete(ending))
  }

  /** Refuses callers from now on, and destroys what nobody waits for. */
  startDraining(): void {
    if (this.#phase !== 'open') return
    this.#phase = 'draining'
    this.#evictor.stop()
    for (const slot of this.#store.idleSlots()) this.#retire(slot, 'drained')
    this.#moveOn()
  }

  /** Rejects those who wait, and takes away what is leased. */
  forceStop(): void {
    if (this.#phase === 'stopped') return
    const stats = this.stats()
    this.#phase = 'stopped'
    const { pending, leased, creating } = stats
    if (pending + leased + creating > 0) {
      this.events.emit({ type: 'stop-forced', pool: this.#options.name, pending, leased, creating })
    }
    this.#pending.failAll(stopping(stats))
    for (const slot of this.#slots) {
      if (slot.state !== 'opening') this.#retire(slot, slot.state === 'leased' ? 'leaked' : 'drained')
    }
    this.unused.open()
  }

  /** Gives up creations, and resolves when every resource is gone. Call it when the pool is unused. */
  async finishStop(): Promise<void> {
    this.#phase = 'stopped'
    this.#backoff.stop()
    for (const slot of this.#slots) this.#giveUp(slot, stopping(this.stats()))
    const deadline = new Deadline(this.#clock, this.#options.destroyTimeoutMs)
    const ended = async (): Promise<void> => {
      while (this.#endings.size > 0) await Promise.all(this.#endings)
    }
    await deadline
      .race(ended(), () => destroyTimeout(deadline.elapsedMs, this.#options.name, this.#endings.size))
      .catch(error => this.#destroyFailed(error))
  }

  stats(): ResourcePoolStats {
    const { name, min, max } = this.#options
    const { retired, ...counters } = this.#counters
    return {
      name,
      idle: this.#store.idle,
      leased: this.#leased,
      creating: this.#opening,
      expired: this.#expired,
      pending: this.#pending.size,
      min,
      max,
      ...counters,
      retired: { ...retired },
    }
  }

  get #expired(): number {
    const { maxLifetimeMs } = this.#options
    if (maxLifetimeMs === Number.POSITIVE_INFINITY) return 0
    const bornBefore = this.#clock.now() - maxLifetimeMs
    return [...this.#slots].filter(({ state, createdAt }) => state === 'leased' && createdAt <= bornBefore).length
  }

  get #leased(): number {
    return this.#store.size - this.#store.idle - this.#opening
  }
}
