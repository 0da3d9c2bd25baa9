/** A pool in a world that does anything in any order, and what must hold after every step of it. */

import { isBreakwaterError } from '@breakwater/kernel'
import { FakeClock } from '@breakwater/testkit'
import { expect } from 'vitest'
import type { Lease } from '../src/engine/lease.js'
import { ResourcePool } from '../src/engine/resource-pool.js'

interface Thing {
  readonly id: number
  destroyed: boolean
  leased: boolean
  /** Found invalid, or retired by the test: must be destroyed as soon as it is not leased. */
  doomed: boolean
}

interface Question<A> {
  answer(value: A): void
  fail(error: unknown): void
  readonly signal: AbortSignal
}

interface Caller {
  readonly controller: AbortController
  /** Would share a lease. */
  readonly shared: boolean
  readonly since: number
  settled: boolean
}

/** One lease, and how many have it: one, or as many as share it. */
interface Held {
  readonly lease: Lease<Thing>
  readonly shared: boolean
  holders: number
}

/** What a creation fails with; `forgivable` if no caller may be rejected for it. */
interface Failure extends Error {
  readonly isTransient: boolean
  readonly forgivable: boolean
}

const MAX = 3
const MIN = 2
const MAX_CREATING = 2
const LEAK_MS = 250
/** The longest back-off. */
const LONGEST_PAUSE_MS = 500

export class World {
  readonly clock = new FakeClock()
  readonly things: Thing[] = []
  readonly creations: Question<Thing>[] = []
  readonly validations: (Question<boolean> & { readonly thing: Thing })[] = []
  readonly held: Held[] = []
  readonly callers: Caller[] = []
  /** Calls that have not settled. An init waits and holds leases like any caller. */
  readonly unsettled = { init: 0, drain: 0, dispose: 0 }
  stopping = false
  forced = false
  readonly #reclaims: boolean
  readonly #heldSince = new Map<Thing, number>()
  #starvedSince: number | undefined
  #evictedBelowMin = false
  #rejectedForOutage = false
  /** What `destroy` found wrong: what is thrown there does not reach the test either. */
  #destroyedWrongly: unknown
  /** The last creation that ended has failed. */
  #isFailing = false
  #sizeBefore = 0
  readonly pool: ResourcePool<Thing>

  constructor(reclaims: boolean) {
    this.#reclaims = reclaims
    this.pool = this.#makePool()
    this.pool.observe(event => {
      if (event.type === 'stop-forced') this.forced = true
      if (event.type === 'created') this.#isFailing = false
      if (event.type === 'create-failed') this.#isFailing = true
      if (event.type === 'destroy-failed' && !isBreakwaterError(event.error)) this.#destroyedWrongly ??= event.error
      // Not by `expect` here: what a listener throws does not reach the test.
      const isBelowMin = this.#size < this.pool.stats().min
      if (event.type === 'retired' && event.reason === 'idle' && isBelowMin) this.#evictedBelowMin = true
    })
  }

  #makePool(): ResourcePool<Thing> {
    return new ResourcePool<Thing>({
      max: MAX,
      min: MIN,
      maxCreating: MAX_CREATING,
      shed: { target: 20, interval: 60 },
      leakWarningAfter: LEAK_MS,
      reclaimLeaked: this.#reclaims,
      acquireTimeout: 2_000,
      maxPending: 4,
      createTimeout: 400,
      idleTimeout: 200,
      maxLifetime: 150,
      maxUses: 5,
      validateAfterIdle: 50,
      keepalive: 90,
      validateTimeout: 100,
      destroyTimeout: 500,
      clock: this.clock,
      random: () => 0.5,
      factory: {
        create: ({ signal }) => this.#ask(this.creations, { signal }),
        validate: (thing, { signal }) => this.#ask(this.validations, { signal, thing }),
        isTransient: error => (error as Partial<Failure>).isTransient === true,
        destroy: (thing, { reason }) => {
          expect(thing.destroyed, 'destroyed twice').toBe(false)
          if (!this.forced && reason !== 'leaked') expect(thing.leased, 'destroyed while leased').toBe(false)
          thing.destroyed = true
        },
      },
    })
  }

  #ask<A, Q extends Question<A>>(questions: Q[], details: Omit<Q, 'answer' | 'fail'>): Promise<A> {
    return new Promise<A>((resolve, reject) => {
      questions.push({ ...details, answer: resolve, fail: reject } as unknown as Q)
    })
  }

  acquire(shared: boolean, timeout?: number): void {
    const caller: Caller = { controller: new AbortController(), shared, since: this.clock.now(), settled: false }
    this.callers.push(caller)
    const options = { signal: caller.controller.signal, shared, ...(timeout === undefined ? {} : { timeout }) }
    const settled = (error?: unknown): void => {
      if ((error as Failure | undefined)?.forgivable) this.#rejectedForOutage = true
      expect(caller.settled, 'settled twice').toBe(false)
      caller.settled = true
      this.callers.splice(this.callers.indexOf(caller), 1)
    }
    this.pool.acquire(options).then(lease => {
      settled()
      const isSharing = this.held.some(each => each.shared)
      const sharers = this.callers.filter(each => each.shared && each.since < this.clock.now())
      if (!shared && !isSharing) expect(sharers, 'who would share, and come first while nobody does').toEqual([])
      this.hold(lease, shared)
    }, settled)
  }

  hold(lease: Lease<Thing>, shared: boolean): void {
    const joined = this.held.find(each => each.lease === lease)
    if (joined) {
      expect([joined.shared, shared], 'joined a lease that is not shared, or by one who would not').toEqual([
        true,
        true,
      ])
      joined.holders++
      return
    }
    if (!this.forced)
      expect(lease.value, 'leased what is leased or destroyed').toMatchObject({ destroyed: false, leased: false })
    lease.value.leased = true
    this.#heldSince.set(lease.value, this.clock.now())
    this.held.push({ lease, shared, holders: 1 })
  }

  /** Has the oldest of those who would share join, as who holds the lease may at any time. */
  join({ lease, shared }: Held): void {
    if (!shared) return
    const sharers = this.callers.filter(each => each.shared).length
    const had = this.pool.join(lease)
    if (this.unsettled.init === 0) expect(had, 'joined').toBe(sharers > 0)
  }

  /** One of those who have it is done; with the last of them it ends, for all of them at once if it is to be destroyed. */
  end(held: Held, how: 'release' | 'retire'): void {
    held.holders--
    if (held.holders > 0 && how === 'release') return
    this.held.splice(this.held.indexOf(held), 1)
    held.lease.value.leased = false
    held.lease[how]()
  }

  make(creation: Question<Thing>): void {
    this.creations.splice(this.creations.indexOf(creation), 1)
    const thing: Thing = { id: this.things.length, destroyed: false, leased: false, doomed: false }
    this.things.push(thing)
    creation.answer(thing)
  }

  retire(thing: Thing): void {
    thing.doomed = true
    this.pool.retire(thing)
  }

  validate(validation: World['validations'][number], valid: boolean): void {
    this.validations.splice(this.validations.indexOf(validation), 1)
    if (valid) validation.answer(true)
    else validation.fail(new Error('validate'))
    if (!valid && !validation.signal.aborted) validation.thing.doomed = true
  }

  fail(creation: Question<Thing>, isTransient: boolean): void {
    this.creations.splice(this.creations.indexOf(creation), 1)
    const forgivable = isTransient && this.pool.stats().created > 0
    creation.fail(Object.assign(new Error('create'), { isTransient, forgivable }))
  }

  call(what: 'init' | 'drain' | 'dispose', deadline?: number): void {
    if (what !== 'init') this.stopping = true
    const settled = (): void => {
      this.unsettled[what]--
    }
    this.unsettled[what]++
    this.pool[what](deadline === undefined ? {} : { deadline }).then(settled, settled)
  }

  get #size(): number {
    const { idle, leased, creating } = this.pool.stats()
    return idle + leased + creating
  }

  check(): void {
    const { idle, leased, creating, pending } = this.pool.stats()
    const alive = this.things.filter(thing => !thing.destroyed)
    const checking = this.validations.filter(({ signal, thing }) => !signal.aborted && !thing.destroyed)
    const wanted = this.creations.filter(({ signal }) => !signal.aborted).length

    const { max } = this.pool.stats()
    expect(this.#size, 'size, which may be above max only when that was lowered').toBeLessThanOrEqual(
      Math.max(max, this.#sizeBefore),
    )
    this.#sizeBefore = this.#size
    if (this.#size > max) expect([idle, creating], 'idle, or being made, although there are too many').toEqual([0, 0])
    expect({ alive: alive.length, creating }, 'nothing is lost').toEqual({ alive: idle + leased, creating: wanted })
    if (this.unsettled.init === 0) {
      expect(alive.filter(thing => thing.leased).length + checking.length, 'leased').toBe(leased)
      expect(pending, 'callers that wait').toBe(this.callers.length)
      const doomed = alive.filter(
        thing => thing.doomed && !thing.leased && !checking.some(({ thing: { id } }) => id === thing.id),
      )
      expect(doomed, 'kept although retired or invalid').toEqual([])
    }
    // One lease serves all who would share it, up to 64 of them.
    const sharers = this.callers.filter(each => each.shared).length
    const alone = pending - sharers
    const demand = alone + Math.ceil(sharers / 64)
    expect(this.pool.waiting, 'callers that wait, by what they want').toMatchObject({ alone, sharers, demand })
    if (idle > 0)
      expect(demand, 'leases that are waited for while something is idle').toBeLessThanOrEqual(checking.length)

    expect(this.#destroyedWrongly, 'found by destroy').toBeUndefined()
    expect(this.#evictedBelowMin, 'evicted below min').toBe(false)

    expect(this.#rejectedForOutage, 'rejected for what will pass').toBe(false)
    if (this.#reclaims) {
      // A shared lease lasts as long as others join it.
      const shared = new Set(this.held.filter(each => each.shared).map(({ lease }) => lease.value))
      const held = alive
        .filter(thing => thing.leased && !shared.has(thing))
        .map(thing => this.clock.now() - (this.#heldSince.get(thing) ?? 0))
      expect(Math.max(0, ...held), 'ms that a lease was not reclaimed').toBeLessThanOrEqual(LEAK_MS)
    }

    expect(creating, 'creations at a time').toBeLessThanOrEqual(MAX_CREATING)
    const starves = demand > checking.length + creating && this.#size < max
    if (!this.#isFailing) expect(starves && creating < MAX_CREATING, 'callers for whom nothing is made').toBe(false)
    if (!starves || creating > 0) this.#starvedSince = undefined
    this.#starvedSince ??= starves && creating === 0 ? this.clock.now() : undefined
    if (this.#starvedSince !== undefined) {
      expect(this.clock.now() - this.#starvedSince, 'ms without an attempt').toBeLessThanOrEqual(LONGEST_PAUSE_MS)
    }

    if (!this.stopping) return
    expect(idle, 'idle in a pool that stops').toBe(0)
    if (pending + leased === 0) expect(this.unsettled.drain, 'drains of an unused pool').toBe(0)
  }

  /** Stops the pool at once. All must end by itself: soon when the factory answers, else when its time is up. */
  async finish(factoryAnswers: boolean): Promise<void> {
    while (factoryAnswers && this.creations.length + this.validations.length > 0) {
      for (const creation of [...this.creations]) this.make(creation)
      for (const validation of [...this.validations]) this.validate(validation, true)
      await this.clock.advance(0)
    }
    this.call('dispose', 0)
    await this.clock.advance(factoryAnswers ? 0 : 10_000)
    expect(this.clock.pendingTimers, 'timers left').toBe(0)
    expect(this.callers, 'callers without an answer').toEqual([])
    expect(this.unsettled, 'calls without an answer').toEqual({ init: 0, drain: 0, dispose: 0 })

    for (const { lease } of this.held.splice(0)) lease.release()
    for (const creation of [...this.creations]) this.make(creation)
    for (const validation of [...this.validations]) this.validate(validation, true)
    await this.clock.advance(0)
    const { idle, leased, creating, pending } = this.pool.stats()
    expect({ idle, leased, creating, pending }).toEqual({ idle: 0, leased: 0, creating: 0, pending: 0 })
    expect(this.#destroyedWrongly, 'found by destroy').toBeUndefined()
    expect(
      this.things.filter(thing => !thing.destroyed),
      'never destroyed',
    ).toEqual([])
    expect(this.clock.pendingTimers, 'timers left').toBe(0)
  }
}
