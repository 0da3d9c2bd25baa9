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
 * work), idle, checking (being validated), leased, borrowed (by its owner), or closed. Four rules decide everything:
 *
 * 1. Whoever comes first, resource or caller, waits for the other. A creation is started because callers wait, but not
 *    for one of them: what is freed meanwhile goes to the oldest caller, and what the creation makes goes to the oldest
 *    at that time, or to rest. (Bound to its own connection, a caller waits for a slow connect while others are freed.)
 * 2. `idle + checking + leased + opening <= max`, because a slot is opened before the factory is called, in the same
 *    tick in which the limit was compared. No await stands between a decision and the state that it changes: every
 *    method here that has one re-reads the slot's state behind it.
 * 3. One failed creation rejects one caller, the oldest, with the factory's own error; the rest wait on. It rejects
 *    nobody if the pool has worked before and the factory says that the fault will pass. After a failure one creation runs
 *    at a time, spaced by a back-off that all callers share, so that a server that is down meets one attempt now and then,
 *    however many callers there are; after a success the others follow at once.
 * 4. Nothing is lost. A creation may be given up (time-out, stop), but what it makes afterwards is destroyed, and a stop
 *    waits for it. A slot leaves the pool by `#drop` alone, and its resource is destroyed once.
 *
 * A lease may be shared: a caller who says so is served with a lease of its own, or joins one that another such caller has
 * (`join`, called by whoever holds it). Those who would share wait in a queue of their own. While no lease is shared, what
 * is freed goes to them first, since one serves them all; else who came first is served first. So neither kind can starve
 * the other, as long as whoever holds a shared lease ends it when others wait (`lanes/` does).
 *
 * A resource that has reached its lifetime is replaced before it goes, if the pool is at work and there is room for both:
 * the replacement is a creation like any other, and when it has ended, made or failed, the old one goes as soon as it is
 * free. When `max` was lowered, nothing is opened until what is above it is gone: creations and the idle at once, the
 * leased when released.
 *
 * Stopping has three phases: open, draining (no new callers, those that wait are still served, what nobody waits for is
 * destroyed), stopped (the rest is rejected, taken away, given up). A stop that hangs on a caller who never releases is
 * ended by its deadline; a lease whose slot was taken away may still be released, which then does nothing.
 *
 * Who keeps what: `Store` the slots (over generic-pool), `Admission` the callers (`Pending` their order, `Shedding` the
 * measure of their wait), `Creations` what is on its way in, `Lending` the leases, `Evictor` the ages, `Endings` what is on
 * its way out. Only this file sees them all.
 */

import type { Clock } from '@breakwater/kernel'
import { Admission, type Waiting } from './admission.js'
import { Creations } from './creations.js'
import { Endings } from './endings.js'
import { acquireTimeout, createTimeout, stopping } from './errors.js'
import { Evictor, isExpired, lifetimeMs } from './evictor.js'
import { Gate } from './gate.js'
import type { Lease } from './lease.js'
import { Lending } from './lending.js'
import { isTransient, type ResolvedOptions, type Size } from './options.js'
import type { RetireReason, Slot } from './slot.js'
import { Report, type ResourcePoolState, type ResourcePoolStats } from './stats.js'
import { Store } from './store.js'
import { isStale, isValid } from './validation.js'

export class Engine<T> {
  readonly #options: ResolvedOptions<T>
  /** `max` and `min` as they are now. */
  readonly #size: Required<Size>
  readonly #clock: Clock
  readonly #store: Store<T>
  /** Every slot that is not closed. */
  readonly #slots = new Set<Slot<T>>()
  readonly #admission: Admission<Lease<T>>
  readonly #creations: Creations<T>
  readonly #lending: Lending<T>
  readonly #evictor: Evictor<T>
  readonly #endings: Endings
  #phase: 'open' | 'draining' | 'stopped' = 'open'
  #keepsMin = false
  #checking = 0
  /** When one more was asked for last, and there was no room for it. */
  shortAt: number = Number.NEGATIVE_INFINITY
  readonly report: Report
  /** Opens when the pool is draining and nobody waits or has a lease. */
  readonly unused: Gate = new Gate()

  constructor(options: ResolvedOptions<T>) {
    const { name, clock, max, min, createTimeoutMs } = options
    this.#options = options
    this.#size = { max, min }
    this.#clock = clock
    this.report = new Report(name)
    this.#endings = new Endings(options, error => this.report.destroyFailed(error))
    this.#store = new Store(slot => {
      if (slot.retired) this.#destroy(slot.value, slot.retired)
    })
    this.#admission = new Admission(options, this.report, {
      state: () => this.state(),
      timedOut: waitedMs => this.#timedOut(waitedMs),
      aborted: () => this.#moveOn(),
    })
    this.#creations = new Creations(options, {
      made: (...creation) => this.#made(...creation),
      failed: (...creation) => this.#failed(...creation),
      timedOut: () => createTimeout(createTimeoutMs, this.state()),
      late: value => this.#destroy(value, 'surplus'),
      due: () => this.#moveOn(),
    })
    this.#lending = new Lending(options, this.#slots, this.report, {
      isDue: slot => slot.retired !== undefined || this.#store.size > this.#size.max || isExpired(slot, clock),
      used: ms => this.#admission.used(ms),
      ended: slot => this.#freed(slot),
      leaked: (...leak) => this.#leaked(...leak),
    })
    this.#evictor = new Evictor(options, this.#size, this.#store, {
      retire: (slot, reason) => this.#evict(slot, reason),
      validate: slot => void this.#check(this.#store.takeOut(slot)),
    })
  }

  // Callers

  /**
   * Leases an idle resource at once, if there is one that needs no validation and nobody waits for it.
   * @param shared others may join the lease.
   */
  lease(shared: boolean): Lease<T> | undefined {
    if (this.#phase !== 'open' || this.#admission.pending > 0) return undefined
    const slot = this.#store.peek()
    if (!slot || isStale(this.#options, slot)) return undefined
    this.#store.take()
    this.report.servedAtOnce()
    return this.#lending.lend(slot, this.#lending.acquirer(), shared)
  }

  /**
   * Lends an idle resource, that one if told which, for the pool's own purposes: it counts as no use of it, neither in the
   * figures nor for its idle time.
   */
  borrow(value?: T): Lease<T> | undefined {
    const isIt = (slot: Slot<T>): boolean => slot.value === value
    const slot = value === undefined ? this.#store.peek() : this.#store.idleSlots().find(isIt)
    if (!slot || this.#phase !== 'open') return undefined
    return this.#lending.borrow(this.#store.takeOut(slot))
  }

  /** Queues a caller, or refuses it. */
  wait(timeoutMs: number, signal: AbortSignal | undefined, shared: boolean): Promise<Lease<T>> {
    if (this.#phase !== 'open') return this.#admission.refuse(stopping(this.state()))
    const served = this.#admission.wait(timeoutMs, signal, this.#coming, this.#lending.acquirer(), shared)
    this.#moveOn()
    return served
  }

  /** Resources on their way to callers, or soon to be; none while creations fail. */
  get #coming(): number {
    const room = this.#creations.areFailing ? 0 : Math.max(0, this.#size.max - this.#store.size)
    return this.#creations.count + this.#checking + room
  }

  /** Has the oldest of the sharers who wait join a shared lease; false if there is none. */
  join(lease: Lease<T>): boolean {
    if (this.#admission.sharers === 0) return false
    this.report.counters.acquired++
    this.#admission.next(true).resolve(lease)
    return true
  }

  /** There must be one who waits. */
  #serve(slot: Slot<T>): void {
    const shared = this.#admission.isTurnOfSharers(this.#lending.shared)
    const caller = this.#admission.next(shared)
    caller.resolve(this.#lending.lend(slot, caller.acquirer, shared))
  }

  #freed(slot: Slot<T>): void {
    this.#settle(slot)
    this.#moveOn()
  }

  #timedOut(elapsedMs: number): unknown {
    const error = acquireTimeout(elapsedMs, this.stats(), this.#creations.lastError)
    this.#moveOn()
    return error
  }

  // What every event ends with

  /** Moves callers and slots on as far as they go; finds nothing to do when called once too often. */
  #moveOn(): void {
    while (this.#admission.demand > this.#checking && this.#store.idle > 0) {
      const slot = this.#store.take() as Slot<T>
      if (isStale(this.#options, slot)) void this.#check(slot)
      else this.#serve(slot)
    }
    while (this.#wantsMore() && this.#creations.mayBegin) this.#open()
    if (this.#wantsMore() && this.#creations.count === 0) this.#creations.await(this.#admission.pending > 0)
    if (this.#phase !== 'open' && this.#admission.pending === 0 && this.#leased === 0) this.unused.open()
  }

  #wantsMore(): boolean {
    if (this.#store.size >= this.#size.max || this.#phase === 'stopped') return false
    if (this.#admission.demand > this.#creations.count + this.#checking) return true
    return this.#keepsMin && this.#phase === 'open' && this.#store.size < this.#size.min
  }

  /** For a slot that has just become free: to the oldest caller, to rest, or away. */
  #settle(slot: Slot<T>): void {
    const isDue = !slot.isReplaced && isExpired(slot, this.#clock)
    slot.retired ??= this.#reasonToGo(slot, isDue)
    slot.isReplaced ||= isDue
    if (slot.retired) this.#drop(slot)
    else if (this.#admission.pending > 0) this.#serve(slot)
    else {
      slot.provenAt = this.#clock.coarse()
      if (slot.state === 'leased' || slot.state === 'opening') slot.idleSince = slot.provenAt
      this.#store.put(slot)
      this.#evictor.arm(slot)
    }
    // Last, because the factory's code may do anything to the pool.
    if (isDue && !slot.retired) this.#open(slot)
  }

  #reasonToGo(slot: Slot<T>, isDue: boolean): RetireReason | undefined {
    if (this.#store.size > this.#size.max) return 'surplus'
    if (slot.uses >= this.#options.maxUses || (isDue && !this.#isReplaceable(slot))) return 'lifetime'
    return this.#phase !== 'open' && this.#admission.pending === 0 ? 'drained' : undefined
  }

  /** Tells whether an expired resource would be missed, and there is room for its replacement beside it. */
  #isReplaceable({ state }: Slot<T>): boolean {
    const { max, min } = this.#size
    const isAtWork = this.#admission.pending > 0 || this.#leased > (state === 'idle' ? 0 : 1)
    const isMissed = isAtWork || (this.#keepsMin && this.#store.size <= min)
    return isMissed && this.#phase === 'open' && this.#store.size < max && this.#creations.mayBegin
  }

  // Creations

  /** Keeps `min` resources open from now on. */
  keepMin(): void {
    this.#keepsMin = true
    this.#moveOn()
  }

  /** Opens one more, to rest until someone comes, if there is room and none on its way. */
  openAnother(): void {
    if (this.#store.size >= this.#size.max) this.shortAt = this.#clock.coarse()
    else if (this.#phase === 'open' && this.#creations.count === 0 && this.#creations.mayBegin) this.#open()
  }

  #open(replaces?: Slot<T>): void {
    // One tick: the slot counts before the factory's code runs, which may call back into the pool.
    const slot = this.#store.open()
    slot.replaces = replaces
    this.#slots.add(slot)
    this.#creations.begin(slot)
  }

  #made(slot: Slot<T>, value: T, elapsedMs: number): void {
    slot.value = value
    slot.expiresAt = this.#clock.now() + lifetimeMs(this.#options)
    this.report.created(elapsedMs)
    this.#settle(slot)
    this.#relieve(slot)
    this.#moveOn()
  }

  #failed(slot: Slot<T>, error: unknown, elapsedMs: number): void {
    this.#remove(slot)
    this.report.createFailed(elapsedMs, error)
    // Who has set no bound to its wait must hear of it: it would wait for as long as the server is away.
    const isWaitedOut = this.#admission.isBounded && this.report.counters.created > 0
    if (!isWaitedOut || !isTransient(this.#options.factory, error)) this.#admission.fail(error)
    this.#moveOn()
  }

  #giveUp(slot: Slot<T>, reason: unknown): void {
    this.#creations.giveUp(slot, reason)
    this.#remove(slot)
  }

  /** For one whose creation has come to nothing. */
  #remove(slot: Slot<T>): void {
    if (slot.creation) this.#endings.await(slot.creation.settled)
    this.#drop(slot)
    this.#relieve(slot)
  }

  /** The replacement has come, or has not: what it was to replace goes. */
  #relieve({ replaces }: Slot<T>): void {
    if (replaces && this.#slots.has(replaces)) this.#retireWhenFree(replaces, 'lifetime')
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
      this.#retireWhenFree(slot, reason)
      this.#moveOn()
      return
    }
  }

  #retireWhenFree(slot: Slot<T>, reason: RetireReason): void {
    slot.retired ??= reason
    if (slot.state === 'idle') this.#drop(slot)
  }

  #evict(slot: Slot<T>, reason: RetireReason): void {
    slot.isReplaced = reason === 'lifetime' && this.#isReplaceable(slot)
    if (slot.isReplaced) this.#open(slot)
    else this.#retire(slot, reason)
    this.#moveOn()
  }

  #leaked(slot: Slot<T>, heldMs: number, acquiredAt: string): void {
    const reclaimed = this.#options.reclaimLeaked
    if (reclaimed) this.#retire(slot, 'leaked')
    this.report.leaked(heldMs, acquiredAt, reclaimed)
    this.#moveOn()
  }

  resize({ max, min }: Required<Size>): void {
    this.#size.max = max
    this.#size.min = min
    // The newest first: what is still to come is worth less than what is there.
    for (const slot of [...this.#slots].reverse()) {
      if (this.#store.size > max && slot.state === 'opening') this.#giveUp(slot, undefined)
    }
    for (const slot of this.#store.idleSlots()) {
      if (this.#store.size > max) this.#retire(slot, 'surplus')
      else this.#evictor.arm(slot)
    }
    this.#moveOn()
  }

  #retire(slot: Slot<T>, reason: RetireReason): void {
    slot.retired = reason
    this.#drop(slot)
  }

  /** The only way out; the store calls `#destroy` for what has a resource. */
  #drop(slot: Slot<T>): void {
    // A listener of the retirement before may have been quicker.
    if (!this.#slots.delete(slot)) return
    this.#lending.unshare(slot)
    this.#store.remove(slot)
  }

  #destroy(value: T, reason: RetireReason): void {
    this.report.retired(reason)
    const force = this.#phase === 'stopped' || reason === 'leaked'
    this.#endings.destroy(() => this.#options.factory.destroy(value, { reason, force }))
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
    const state = this.state()
    this.#phase = 'stopped'
    this.report.stopForced(state)
    this.#admission.failAll(stopping(state))
    for (const slot of this.#slots) {
      if (slot.state !== 'opening') this.#retire(slot, slot.state === 'leased' ? 'leaked' : 'drained')
    }
    this.unused.open()
  }

  /** Gives up creations, and resolves when every resource is gone. Call it when the pool is unused. */
  async finishStop(): Promise<void> {
    this.#phase = 'stopped'
    this.#creations.stop()
    this.#lending.stop()
    for (const slot of this.#slots) this.#giveUp(slot, stopping(this.state()))
    await this.#endings.finish()
  }

  get waiting(): Waiting {
    return this.#admission
  }

  /** What `stats` tells about the present, which costs little: for errors, of which there may be many. */
  state(): ResourcePoolState {
    const { max, min } = this.#size
    const { name } = this.#options
    const { pending } = this.#admission
    return { name, idle: this.#store.idle, leased: this.#leased, creating: this.#creations.count, pending, min, max }
  }

  stats(): ResourcePoolStats {
    const expired = [...this.#slots].filter(slot => slot.state === 'leased' && isExpired(slot, this.#clock)).length
    return { ...this.state(), expired, ...this.report.counters.read() }
  }

  get #leased(): number {
    return this.#store.size - this.#store.idle - this.#creations.count
  }
}
