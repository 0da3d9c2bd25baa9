/**
 * The one door to generic-pool, which makes, counts and destroys the slots. None of its faults gets through, because it is
 * never made to wait, never made to fail, and never asked to judge time.
 */

import genericPool from 'generic-pool'
import { Slot } from './slot.js'

/*
 * What generic-pool 3.9 does wrong, and what keeps it from happening here (evidence: docs/adr/0002):
 *
 *   a `create` that rejects is called again at once, without end    it makes an empty slot, which cannot fail; the real
 *                                                                   resource is put in by the pool, at its own pace
 *   a `validate` that rejects keeps its resource for ever           it has none; the pool validates, on a deadline
 *   a waiter cannot leave, and times out on the wall clock          it never has a waiter longer than one call
 *   `drain` has no deadline, the evictor reads `Date.now()`         neither is used
 *   `testOnReturn` does nothing                                     not used
 *   an acquire and release cost four promises, five readings of     a slot is on loan from its opening to its end; between
 *   the wall clock, a loan and its place in a map                   two leases it stands in an array of this file
 *
 * It has nothing idle, so each `acquire` makes a slot and lends it. It is given a `Promise`, an option that it documents,
 * that is settled at once: so it has answered when the call returns.
 */

export class Store<T> {
  readonly #keeper: Keeper<T>
  /** In the order of their last use, the latest at the end. */
  readonly #idle: Slot<T>[] = []

  /** @param destroy called in the same tick in which a slot leaves the store for good. */
  constructor(destroy: (slot: Slot<T>) => void) {
    const factory = { create: () => Settled.resolve(new Slot<T>()), destroy }
    // The limit is the pool's, which can change it; generic-pool's own is fixed at construction.
    const options = { max: Number.MAX_SAFE_INTEGER, Promise: Settled }
    this.#keeper = genericPool.createPool(factory as never, options) as unknown as Keeper<T>
  }

  /** Slots in any state but closed. */
  get size(): number {
    return this.#keeper.size
  }

  get idle(): number {
    return this.#idle.length
  }

  /** Returns the idle slot that `take` would return. */
  peek(): Slot<T> | undefined {
    return this.#idle[this.#idle.length - 1]
  }

  /** Takes the idle slot that was used last, so that the others can age and be evicted. */
  take(): Slot<T> | undefined {
    return this.#idle.pop()
  }

  /** Takes a given idle slot. */
  takeOut(slot: Slot<T>): Slot<T> {
    this.#idle.splice(this.#idle.lastIndexOf(slot), 1)
    return slot
  }

  /** Makes a new slot, opening, whether others are idle or not. */
  open(): Slot<T> {
    return this.#keeper.acquire().value
  }

  /** Puts a slot that was taken or opened among the idle ones. */
  put(slot: Slot<T>): void {
    slot.state = 'idle'
    let at = this.#idle.length
    // On top, unless it was taken for something that is no use.
    while (at > 0 && (this.#idle[at - 1] as Slot<T>).idleSince > slot.idleSince) at--
    if (at === this.#idle.length) this.#idle.push(slot)
    else this.#idle.splice(at, 0, slot)
  }

  /** Destroys a slot, idle or not. */
  remove(slot: Slot<T>): void {
    if (slot.state === 'idle') this.takeOut(slot)
    slot.state = 'closed'
    this.#keeper.destroy(slot)
  }

  /** Returns the idle slots, the one that was used longest ago first. */
  idleSlots(): Slot<T>[] {
    return [...this.#idle]
  }
}

/** generic-pool's `Promise`: everything it waits for here has happened already, so `then` calls back at once. */
class Settled<V> {
  value!: V

  constructor(run: (resolve: (value: V) => void, reject: (reason: unknown) => void) => void) {
    run(value => {
      this.value = value
    }, Settled.reject)
  }

  // biome-ignore lint/suspicious/noThenProperty: generic-pool asks for one.
  then<R>(next: (value: V) => R | Settled<R>): Settled<R> {
    return Settled.resolve(next(this.value))
  }

  catch(): this {
    return this
  }

  static resolve<V>(value: V | Settled<V>): Settled<V> {
    return value instanceof Settled ? value : new Settled(resolve => resolve(value))
  }

  /** generic-pool rejects only what it does not know: a bug on this side of the door. */
  static reject(reason: unknown): never {
    throw reason
  }
}

/** What is used of a generic-pool with that `Promise`. */
interface Keeper<T> {
  readonly size: number
  acquire(): Settled<Slot<T>>
  destroy(slot: Slot<T>): void
}
