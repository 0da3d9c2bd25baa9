/**
 * The one door to generic-pool, which keeps the slots: makes, idles, lends, destroys them. None of its faults gets
 * through, because it is never made to wait, never made to fail, and never asked to judge time.
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
 *   four promises an acquire and release                            it is given a `Promise` that is settled at once, and
 *                                                                   an idle list and queue without nodes: 40 % less time
 *
 * Its constructor takes the idle list, the queue and the `Promise` as parameters; all else goes through its public
 * methods.
 */

export class Store<T> {
  readonly #idle: IdleList<T> = new IdleList()
  readonly #keeper: Keeper<T>

  /** @param destroy called in the same tick in which a slot leaves the store for good. */
  constructor(destroy: (slot: Slot<T>) => void) {
    const idle = this.#idle
    function Idle(): IdleList<T> {
      return idle
    }
    const factory = { create: () => Settled.resolve(new Slot<T>()), destroy }
    this.#keeper = new KeeperPool(DefaultEvictor, Idle, SingleRequest, factory, {
      // The limit is the pool's, which can change it; generic-pool's own is fixed at construction.
      max: Number.MAX_SAFE_INTEGER,
      min: 0,
      fifo: false,
      autostart: false,
      Promise: Settled,
    }) as Keeper<T>
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
    return this.#idle.top?.obj
  }

  /** Takes the idle slot that was used last, so that the others can age and be evicted. */
  take(): Slot<T> | undefined {
    return this.#idle.length > 0 ? this.#lend() : undefined
  }

  /** Makes a new slot, opening, and lends it, whether others are idle or not. */
  open(): Slot<T> {
    const aside = this.#idle.hide()
    const slot = this.#lend()
    this.#idle.show(aside)
    return slot
  }

  /** Puts a lent slot on top of the idle ones. */
  put(slot: Slot<T>): void {
    slot.state = 'idle'
    this.#keeper.release(slot)
  }

  /** Destroys a slot, idle or lent. */
  remove(slot: Slot<T>): void {
    if (slot.state === 'idle') {
      this.#idle.raise(slot)
      this.#lend()
    }
    slot.state = 'closed'
    this.#keeper.destroy(slot)
  }

  /** Returns the idle slots, the one that was used longest ago first. */
  idleSlots(): Slot<T>[] {
    return this.#idle.slots()
  }

  /** With an idle slot it lends that one, without any a new one; either way it has answered when `acquire` returns. */
  #lend(): Slot<T> {
    return this.#keeper.acquire().value
  }
}

interface Held<T> {
  readonly obj: Slot<T>
}

/** generic-pool's idle list: with `fifo: false` it puts and takes at the front, which is the end of this array. */
class IdleList<T> {
  #items: Held<T>[] = []

  get length(): number {
    return this.#items.length
  }

  get top(): Held<T> | undefined {
    return this.#items.at(-1)
  }

  unshift(item: Held<T>): void {
    this.#items.push(item)
  }

  shift(): Held<T> | undefined {
    return this.#items.pop()
  }

  /** Asked for by generic-pool's constructor, for its evictor, which never runs. */
  iterator(): undefined {}

  slots(): Slot<T>[] {
    return this.#items.map(item => item.obj)
  }

  raise(slot: Slot<T>): void {
    const at = this.#items.findIndex(item => item.obj === slot)
    this.#items.push(...this.#items.splice(at, 1))
  }

  hide(): Held<T>[] {
    const aside = this.#items
    this.#items = []
    return aside
  }

  show(aside: Held<T>[]): void {
    this.#items = aside
  }
}

/** generic-pool's queue of requests, which holds one at most, and only while `acquire` runs. */
class SingleRequest {
  #request: unknown

  get length(): number {
    return this.#request === undefined ? 0 : 1
  }

  enqueue(request: unknown): void {
    this.#request = request
  }

  dequeue(): unknown {
    const request = this.#request
    this.#request = undefined
    return request
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

interface Keeper<T> {
  readonly size: number
  acquire(): Settled<Slot<T>>
  release(slot: Slot<T>): void
  destroy(slot: Slot<T>): void
}

/** As generic-pool exports it; its declarations leave out the class's constructor and the other classes. */
type KeeperConstructor = new (
  evictor: unknown,
  idleList: unknown,
  queue: unknown,
  factory: object,
  options: object,
) => unknown

const { Pool: KeeperPool, DefaultEvictor } = genericPool as unknown as {
  Pool: KeeperConstructor
  DefaultEvictor: unknown
}
