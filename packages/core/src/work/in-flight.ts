/**
 * The door through which work comes in: what passes it is counted, and waited for by the stop before anything that it
 * needs is closed. While the instance drains, only work that belongs to work already inside may still pass.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import { BreakwaterError, type Clock } from '@breakwater/kernel'
import { type LeftWork, type Work, WorkList } from './work-list.js'

/** Given to each piece of work. */
export interface WorkContext {
  /** Aborted as soon as the instance begins to stop: the time to wind up what would otherwise go on for long. */
  readonly draining: AbortSignal
  /** Aborted when the time to stop is up, and everything is being ended by force. */
  readonly signal: AbortSignal
}

type Door =
  | 'open'
  /** For work within work alone. */
  | 'inside'
  | 'closed'

export class InFlight {
  readonly #clock: Clock
  readonly #inside = new AsyncLocalStorage<Work>()
  readonly #draining = new AbortController()
  readonly #force = new AbortController()
  #door: Door = 'open'
  /** Requests and tracked work: somebody waits for it. */
  readonly foreground: WorkList
  /** Detached work. */
  readonly background: WorkList
  /** When the latest request came in, probes left out; 0 before the first. */
  lastRequestAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.foreground = new WorkList(clock)
    this.background = new WorkList(clock)
  }

  /** The work in whose context this is called, however many awaits and callbacks later. */
  get current(): Work | undefined {
    return this.#inside.getStore()
  }

  /** Aborted as soon as the instance begins to stop. */
  get draining(): AbortSignal {
    return this.#draining.signal
  }

  /** Whether the instance has begun to stop. */
  get isDraining(): boolean {
    return this.#draining.signal.aborted
  }

  /** Whether all that could serve a request is still whole. */
  get isOpen(): boolean {
    return this.#door !== 'closed'
  }

  /** Counts a request until the returned function is called, which may be more than once, and calls `handle` within it. */
  request(name: string, traceId: () => string | undefined, handle: (over: () => void) => void): void {
    this.lastRequestAt = this.#clock.now()
    const work = this.foreground.add('request', name, traceId)
    this.#inside.run(work, handle, () => this.foreground.delete(work))
  }

  /**
   * Calls `fn`, counts it until its promise settles, and settles as that does.
   * @throws {BreakwaterError} kind `rejected`, code `DRAINING`.
   */
  async track<T>(name: string, fn: (context: WorkContext) => T): Promise<Awaited<T>> {
    if (!this.#admits()) throw draining(name)
    const work = this.foreground.add('tracked', name, this.#inherited())
    try {
      return await this.#inside.run(work, fn, this.#context)
    } finally {
      this.foreground.delete(work)
    }
  }

  /** Calls `fn` detached from its caller; `onError` gets what it fails with, a refusal included. */
  detach(name: string, fn: (context: WorkContext) => unknown, onError: (error: unknown) => void): void {
    if (!this.#admits()) {
      onError(draining(name))
      return
    }
    const work = this.background.add('background', name, this.#inherited())
    const running = new Promise(resolve => resolve(this.#inside.run(work, fn, this.#context)))
    void running.catch(onError).finally(() => this.background.delete(work))
  }

  /** Says that the instance begins to stop. Everything is still let in: traffic goes on until it is routed elsewhere. */
  drain(): void {
    this.#draining.abort(new BreakwaterError('rejected', 'DRAINING', 'the instance stops'))
  }

  /** From now on lets in only what belongs to work inside, which could not end without it. */
  closeToOutside(): void {
    if (this.#door === 'open') this.#door = 'inside'
  }

  close(): void {
    this.#door = 'closed'
  }

  /** Tells what is under way to let go. */
  force(): void {
    this.drain()
    this.#force.abort(new BreakwaterError('timeout', 'STOP_FORCED', 'the time to stop is up'))
  }

  /** Lists what is under way, the oldest first of each kind. */
  left(): LeftWork[] {
    return [...this.foreground.left(), ...this.background.left()]
  }

  get #context(): WorkContext {
    return { draining: this.#draining.signal, signal: this.#force.signal }
  }

  #admits(): boolean {
    return this.#door === 'open' || (this.#door === 'inside' && this.current !== undefined)
  }

  /** Work within work belongs to its trace. */
  #inherited(): (() => string | undefined) | undefined {
    return this.current?.traceId
  }
}

function draining(name: string): BreakwaterError {
  return new BreakwaterError('rejected', 'DRAINING', `"${name}" was not begun: the instance stops`, {
    retryable: false,
  })
}
