/** The guard of a cache without Redis: one process, one filter, which is the truth itself. The same states and the same audit. */

import { BreakwaterError, pause } from '@breakwater/kernel'
import { type CacheKey, encodeKey } from '../keys.js'
import { Audit } from './audit.js'
import { errorRateOf, Filter, type FilterShape, shapeFor } from './filter.js'
import type { BoundGuard, GuardStats, GuardSurroundings } from './guard.js'
import { MOST_EXPECTED, type ResolvedGuardOptions } from './guard-options.js'
import { GuardState } from './guard-state.js'
import { isAbove } from './high-water.js'
import { fillFromTable } from './scan.js'

const LOOK_MS = 1_000
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000
const HEADROOM = 1.5

interface Built {
  readonly filter: Filter
  readonly highWater: string | undefined
  readonly at: number
  entries: number
}

export class LocalGuard implements BoundGuard {
  readonly #options: ResolvedGuardOptions
  readonly #around: GuardSurroundings
  readonly #state: GuardState
  readonly #audit: Audit
  readonly #disposed = new AbortController()
  #built: Built | undefined
  /** The filter being filled: every add goes to both. */
  #filling: Filter | undefined
  #building: Promise<void> | undefined
  #buildController = new AbortController()
  #started = false
  #denied = 0
  #builds = 0
  #falseNegatives = 0

  constructor(options: ResolvedGuardOptions, around: GuardSurroundings) {
    this.#options = options
    this.#around = around
    this.#state = new GuardState(around.clock)
    this.#audit = new Audit(around.clock)
  }

  get state(): BoundGuard['state'] {
    return this.#state.value
  }

  get stats(): GuardStats {
    const { filter, entries = 0 } = this.#built ?? {}
    return {
      state: this.state,
      entries,
      bits: filter?.shape.size ?? 0,
      errorRate: filter === undefined ? 0 : errorRateOf(filter.shape, entries),
      deniedHere: this.#denied,
      deniedShared: 0,
      unanswered: 0,
      openings: this.#state.openings,
      openMs: this.#state.openMs,
      builds: this.#builds,
      unacknowledged: 0,
      audits: this.#audit.done,
      falseNegatives: this.#falseNegatives,
    }
  }

  mayContain(key: string): boolean {
    const built = this.#built
    if (this.#state.open || built === undefined) {
      this.#start()
      return true
    }
    if (built.filter.has(key) || (built.highWater !== undefined && isAbove(key, built.highWater))) return true
    this.#denied++
    return false
  }

  async add(id: CacheKey): Promise<void> {
    const key = encodeKey(id)
    if (this.#built !== undefined && !this.#built.filter.has(key)) {
      this.#built.filter.add(key)
      this.#built.entries++
    }
    this.#filling?.add(key)
    await this.#around.forget(key)
  }

  open(): () => void {
    return this.#state.hold()
  }

  rebuild(): Promise<void> {
    this.#start()
    return this.#build()
  }

  denied(key: string, load: () => Promise<unknown>): Promise<void> | undefined {
    return this.#audit.takes() ? this.#lookUp(key, load) : undefined
  }

  hear(): void {}

  missed(): void {}

  async init(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => this.#buildController.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      signal.throwIfAborted()
      if (this.#state.value !== 'ready') await this.#build()
      this.#start()
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async dispose(): Promise<void> {
    const error = new BreakwaterError(
      'rejected',
      'GUARD_DISPOSED',
      `the guard of "${this.#around.space}" has been disposed of`,
    )
    this.#disposed.abort(error)
    this.#buildController.abort(error)
    this.#state.doubt()
    await this.#building?.catch(() => {})
  }

  /** Begins to see to it that the filter is there and fresh. */
  #start(): void {
    if (this.#started || this.#disposed.signal.aborted) return
    this.#started = true
    void this.#live()
  }

  async #live(): Promise<void> {
    const { signal } = this.#disposed
    let retryMs = FIRST_RETRY_MS
    while (!signal.aborted) {
      let waitMs = LOOK_MS
      try {
        if (this.#isDue()) await this.#build()
        retryMs = FIRST_RETRY_MS
      } catch (error) {
        if (signal.aborted) return
        this.#warn('guard.failed', `could not be filled; next try in ${retryMs} ms`, { err: error })
        waitMs = retryMs
        retryMs = Math.min(LAST_RETRY_MS, retryMs * 2)
      }
      await pause(this.#around.clock, waitMs, signal).catch(() => {})
    }
  }

  #isDue(): boolean {
    const built = this.#built
    if (built === undefined || this.#state.value !== 'ready') return true
    const { rebuildEveryMs, errorRate } = this.#options
    const isOld = this.#around.clock.now() - built.at > rebuildEveryMs
    return isOld || errorRateOf(built.filter.shape, built.entries) > 2 * errorRate
  }

  #build(): Promise<void> {
    this.#building ??= this.#fill().finally(() => {
      this.#building = undefined
    })
    return this.#building
  }

  async #fill(): Promise<void> {
    this.#disposed.signal.throwIfAborted()
    if (this.#buildController.signal.aborted) this.#buildController = new AbortController()
    const { space, settled, clock } = this.#around
    const filter = new Filter(this.#nextShape())
    this.#filling = filter
    try {
      const parts = { space, settled, clock, options: this.#options }
      const { entries, highWater } = await fillFromTable(filter, parts, this.#buildController.signal)
      this.#built = { filter, highWater, entries, at: clock.now() }
      this.#builds++
      this.#state.ready()
    } finally {
      this.#filling = undefined
    }
  }

  #nextShape(): FilterShape {
    const { expected, errorRate } = this.#options
    const entries = this.#built?.entries ?? 0
    const keys = entries > expected ? Math.min(MOST_EXPECTED, Math.ceil(entries * HEADROOM)) : expected
    return shapeFor(keys, errorRate)
  }

  async #lookUp(key: string, load: () => Promise<unknown>): Promise<void> {
    this.#audit.done++
    const before = this.#built
    const found = await load().then(
      value => value !== null,
      () => false,
    )
    // A row that came in between was added first.
    if (!found || before !== this.#built || before?.filter.has(key)) return
    this.#falseNegatives++
    this.#state.doubt()
    this.#warn(
      'guard.false-negative',
      'denied a row that exists: rows are inserted past it; letting every read through until it is built anew',
    )
    this.#build().catch(() => {})
  }

  #warn(event: string, what: string, fields: object = {}): void {
    const { space, logger } = this.#around
    logger?.warn({ event, space, ...fields }, `guard of "${space}" ${what}`)
  }
}
