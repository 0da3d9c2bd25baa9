/** Pieces of work that are under way: counted, and waited for by one promise; nobody polls. */

import type { Clock } from '@breakwater/kernel'

export type WorkKind =
  /** Answered by a server that was handed to `serve`. */
  | 'request'
  /** Handed to `track`. */
  | 'tracked'
  /** Handed to `background`. */
  | 'background'

/** A piece of work under way. */
export interface Work {
  readonly kind: WorkKind
  readonly name: string
  /** Instant of its beginning, ms. */
  readonly since: number
  /** 32 hex digits, if it came with a trace. */
  traceId(): string | undefined
}

/** Work as a report tells of it. */
export interface LeftWork {
  readonly kind: WorkKind
  readonly name: string
  readonly ageMs: number
  readonly traceId?: string
}

export class WorkList {
  readonly #clock: Clock
  readonly #work = new Set<Work>()
  #idle: PromiseWithResolve | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#work.size
  }

  add(kind: WorkKind, name: string, traceId: () => string | undefined = none): Work {
    const work = { kind, name, since: this.#clock.now(), traceId }
    this.#work.add(work)
    return work
  }

  /** Takes note that `work` is over; may be told twice. */
  delete(work: Work): void {
    this.#work.delete(work)
    if (this.#work.size > 0) return
    this.#idle?.resolve()
    this.#idle = undefined
  }

  /** Resolves when nothing is under way, which may be now. */
  idle(): Promise<void> {
    if (this.#work.size === 0) return Promise.resolve()
    this.#idle ??= promiseWithResolve()
    return this.#idle.promise
  }

  /** Lists what is under way, the oldest first. */
  left(): LeftWork[] {
    const now = this.#clock.now()
    return [...this.#work].map(({ kind, name, since, traceId }) => {
      const id = traceId()
      return { kind, name, ageMs: Math.round(now - since), ...(id !== undefined && { traceId: id }) }
    })
  }
}

interface PromiseWithResolve {
  readonly promise: Promise<void>
  readonly resolve: () => void
}

function promiseWithResolve(): PromiseWithResolve {
  let resolve = (): void => {}
  const promise = new Promise<void>(settle => {
    resolve = settle
  })
  return { promise, resolve }
}

function none(): undefined {}
