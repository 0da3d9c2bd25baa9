/**
 * Bounds how many loads run at once, so that an empty or dead Redis does not hand its storm to the database. The one door
 * to async-mutex.
 *
 * A loader may read another space, or its own, and so wait for other loads while it holds a place. If every place were held
 * like that, they would wait for each other. So a load lends its place to what it waits for: one at a time, since it does
 * nothing itself meanwhile. Who waits for whom is known from the async context in which a read is made; that costs every
 * promise of the process something on Node 20, so only loads that begin when half of the places are taken carry one. That
 * is enough: of loads that hold all places, at least half can lend.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import { BreakwaterError, type Deadline } from '@breakwater/kernel'
import { Semaphore } from 'async-mutex'

/** The place of a running load, as far as it can be lent. */
export class Place {
  readonly lent: Semaphore = new Semaphore(1)
}

/** A load that wants a place, whoever's: the first that it gets. */
class PlaceRequest {
  readonly granted: Promise<() => void>
  #resolve!: (giveBack: () => void) => void
  #over = false

  constructor() {
    this.granted = new Promise(resolve => {
      this.#resolve = resolve
    })
  }

  askFor(places: Semaphore): void {
    void places.acquire().then(([, giveBack]) => {
      if (this.#over) return giveBack()
      this.#over = true
      this.#resolve(giveBack)
    })
  }

  /** Whatever it is still given goes back. */
  giveUp(): void {
    this.#over = true
    void this.granted.then(giveBack => giveBack())
  }
}

/** Who would lend a place to a load: the loads that wait for it. */
export class Lenders {
  readonly #places: Place[] = []
  #request: PlaceRequest | undefined

  add(place: Place): void {
    this.#places.push(place)
    this.#request?.askFor(place.lent)
  }

  ask(request: PlaceRequest): void {
    this.#request = request
    for (const { lent } of this.#places) request.askFor(lent)
  }
}

export class MissBudget {
  readonly size: number
  /** None for Infinity, which async-mutex would count down from, for ever. */
  readonly #semaphore: Semaphore | undefined
  readonly #holder = new AsyncLocalStorage<Place>()
  /** Loads that run in a context. */
  #inContext = 0
  /** Loads that wait for a place. */
  pending = 0

  /** @param size loads at once, 1 to Infinity. */
  constructor(size: number) {
    this.size = size
    if (size !== Number.POSITIVE_INFINITY) this.#semaphore = new Semaphore(size)
  }

  /** The place of the load in whose course this is asked, if it can lend it. */
  get place(): Place | undefined {
    return this.#inContext === 0 ? undefined : this.#holder.getStore()
  }

  /**
   * Runs `load` when a place is free, or one of `lenders` lends its own.
   *
   * @throws {BreakwaterError} kind `rejected`, code `CACHE_MISS_BUDGET`, when no place came free by `deadline`; the signal's
   *   reason when it is aborted while waiting.
   */
  async run<T>(
    load: () => Promise<T>,
    deadline: Deadline,
    signal: AbortSignal,
    lenders: readonly Lenders[] = [],
  ): Promise<T> {
    const semaphore = this.#semaphore
    if (semaphore === undefined) return load()
    const request = new PlaceRequest()
    request.askFor(semaphore)
    for (const lender of lenders) lender.ask(request)
    this.pending++
    let giveBack: () => void
    try {
      giveBack = await deadline.race(request.granted, () => this.#refusal(deadline), signal)
    } catch (error) {
      request.giveUp()
      throw error
    } finally {
      this.pending--
    }
    try {
      return await (semaphore.getValue() < this.size / 2 ? this.#inItsContext(load) : load())
    } finally {
      giveBack()
    }
  }

  async #inItsContext<T>(load: () => Promise<T>): Promise<T> {
    this.#inContext++
    try {
      return await this.#holder.run(new Place(), load)
    } finally {
      if (--this.#inContext === 0) this.#holder.disable()
    }
  }

  #refusal(deadline: Deadline): BreakwaterError {
    const { elapsedMs } = deadline
    const message = `no place for a load after ${Math.round(elapsedMs)} ms (${this.size} loads run at once, ${this.pending} wait)`
    return new BreakwaterError('rejected', 'CACHE_MISS_BUDGET', message, { elapsedMs, retryAfterMs: 1_000 })
  }
}
