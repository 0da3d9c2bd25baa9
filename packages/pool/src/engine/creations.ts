/** What the factory is at work on: so many at one time, in the pool's own context, and further and further apart while it fails. */

import { AsyncResource } from 'node:async_hooks'
import type { Clock } from '@breakwater/kernel'
import { Backoff } from './backoff.js'
import { Creation } from './creation.js'
import type { ResourceFactory } from './options.js'
import type { Slot } from './slot.js'

export interface CreationLimits<T> {
  readonly clock: Clock
  readonly random: () => number
  readonly factory: ResourceFactory<T>
  readonly maxCreating: number
  readonly createTimeoutMs: number
}

export interface CreationsHooks<T> {
  made(slot: Slot<T>, value: T, elapsedMs: number): void
  failed(slot: Slot<T>, error: unknown, elapsedMs: number): void
  /** One takes too long; returns the error for it. */
  timedOut(): unknown
  /** Came after it had been given up: must be destroyed. */
  late(value: T): void
  /** One may begin that had to wait for it. */
  due(): void
}

export class Creations<T> {
  readonly #limits: CreationLimits<T>
  readonly #hooks: CreationsHooks<T>
  readonly #backoff: Backoff
  /** Not in that of the caller who happened to start one. */
  readonly #context = new AsyncResource('breakwater.ResourcePool')
  #count = 0

  constructor(limits: CreationLimits<T>, hooks: CreationsHooks<T>) {
    this.#limits = limits
    this.#hooks = hooks
    this.#backoff = new Backoff(limits.clock, limits.random, () => hooks.due())
  }

  /** Under way. */
  get count(): number {
    return this.#count
  }

  get areFailing(): boolean {
    return this.#backoff.failures > 0
  }

  /** Of the last one, if that has failed. */
  get lastError(): unknown {
    return this.#backoff.lastError
  }

  get mayBegin(): boolean {
    return this.#count < this.#limits.maxCreating && this.#backoff.allows(this.#count)
  }

  begin(slot: Slot<T>): void {
    const { factory, createTimeoutMs, clock } = this.#limits
    this.#count++
    this.#context.runInAsyncScope(() => {
      slot.creation = new Creation(factory, createTimeoutMs, clock, {
        made: (value, elapsedMs) => {
          this.#count--
          slot.creation = undefined
          this.#backoff.succeeded()
          this.#hooks.made(slot, value, elapsedMs)
        },
        failed: (error, elapsedMs) => {
          this.#count--
          this.#backoff.failed(error)
          this.#hooks.failed(slot, error, elapsedMs)
        },
        timedOut: () => this.#hooks.timedOut(),
        late: value => this.#hooks.late(value),
      })
    })
  }

  /** What it still makes is told as `late`. */
  giveUp(slot: Slot<T>, reason: unknown): void {
    this.#count--
    slot.creation?.abandon(reason)
  }

  /** Has `due` called when one may begin; who waits keeps the process alive. */
  await(isWaitedFor: boolean): void {
    this.#backoff.arm(isWaitedFor)
  }

  stop(): void {
    this.#backoff.stop()
  }
}
