/** What the engine's tests share: a factory whose creations the test answers, and a pool over it on a fake clock. */

import { FakeClock } from '@breakwater/testkit'
import type { ResourceFactory, ResourcePoolOptions } from '../src/engine/options.js'
import { ResourcePool } from '../src/engine/resource-pool.js'

export interface Thing {
  readonly id: number
}

/** Creations stay open until the test answers them. */
class ManualFactory implements ResourceFactory<Thing> {
  readonly signals: AbortSignal[] = []
  readonly destroyed: { id: number; reason: string; force: boolean }[] = []
  readonly #open: { resolve(thing: Thing): void; reject(error: unknown): void }[] = []
  #ids = 0

  get creating(): number {
    return this.#open.length
  }

  create({ signal }: { signal: AbortSignal }): Promise<Thing> {
    this.signals.push(signal)
    return new Promise((resolve, reject) => this.#open.push({ resolve, reject }))
  }

  isTransient(error: unknown): boolean {
    return error === outage
  }

  destroy({ id }: Thing, how: { reason: string; force: boolean }): void {
    this.destroyed.push({ id, ...how })
  }

  make(): void {
    this.#open.shift()?.resolve({ id: ++this.#ids })
  }

  makeAll(): void {
    while (this.creating > 0) this.make()
  }

  fail(error: unknown): void {
    this.#open.shift()?.reject(error)
  }

  failAll(error: unknown): void {
    while (this.creating > 0) this.fail(error)
  }
}

export function setUp(options: Partial<ResourcePoolOptions<Thing>> = {}) {
  const clock = new FakeClock()
  const factory = new ManualFactory()
  const pool = new ResourcePool({ name: 'things', max: 2, factory, clock, random: () => 0.5, ...options })
  /** Lets everything that can happen now happen. */
  const settle = () => clock.advance(0)
  return { clock, factory, pool, settle }
}

/** A pool with one idle thing. */
export async function setUpIdle(options: Partial<ResourcePoolOptions<Thing>> = {}) {
  const made = setUp(options)
  const acquired = made.pool.acquire()
  made.factory.make()
  ;(await acquired).release()
  return made
}

/** A pool with `count` leased things, which is its max unless told otherwise. */
export async function setUpLeased(count: number, options: Partial<ResourcePoolOptions<Thing>> = {}) {
  const made = setUp({ max: count, maxCreating: count, ...options })
  const acquired = Array.from({ length: count }, () => made.pool.acquire())
  made.factory.makeAll()
  return { ...made, leases: await Promise.all(acquired) }
}

/** How a promise ends, without failing the test; `undefined` while it has not. */
export function outcomeOf(promise: Promise<unknown>) {
  const outcome: { value?: unknown; error?: unknown } = {}
  promise.then(
    value => {
      outcome.value = value
    },
    error => {
      outcome.error = error
    },
  )
  return outcome
}

/** What a server that is down answers, to a factory that cannot tell whether that will pass. */
export const down: Error = new Error('connect ECONNREFUSED')

/** What the factory here calls transient. */
export const outage: Error = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
