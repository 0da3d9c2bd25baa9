/** The guard of a cache without Redis: one process, one filter, which is the truth itself. The same states and the same audit. */

import { pause } from '@breakwater/kernel'
import { type CacheKey, encodeKey } from '../keys.js'
import { Audit } from './audit.js'
import { errorRateOf, Filter } from './filter.js'
import type { BoundGuard, GuardStats, GuardSurroundings } from './guard.js'
import { disposed } from './guard-errors.js'
import type { ResolvedGuardOptions } from './guard-options.js'
import { GuardState } from './guard-state.js'
import { isAbove } from './high-water.js'
import { PacedWork } from './paced-work.js'
import { fillFromTable } from './scan.js'
import { isWorn, shapeToBuild } from './sizing.js'
import { warner } from './warn.js'

const LOOK_MS = 1_000

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
  readonly #work: PacedWork
  readonly #disposed = new AbortController()
  #built: Built | undefined
  /** The filter being filled: every add goes to both. */
  #filling: Filter | undefined
  #started = false
  #denied = 0
  #builds = 0

  constructor(options: ResolvedGuardOptions, around: GuardSurroundings) {
    const { clock } = around
    const warn = warner(around)
    this.#options = options
    this.#around = around
    this.#state = new GuardState(clock)
    this.#work = new PacedWork(clock, warn)
    this.#audit = new Audit(around, warn, { witness: key => this.#witness(key), refuted: () => this.#doubt() })
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
      falseNegatives: this.#audit.falseNegatives,
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
    return this.#audit.denied(key, load)
  }

  hear(): void {}

  missed(): void {}

  heardElsewhere(): void {}

  async init(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => this.#work.abort(signal.reason)
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
    const error = disposed(this.#around.space)
    this.#disposed.abort(error)
    this.#work.dispose(error)
    this.#state.doubt()
    await this.#work.current?.catch(() => {})
  }

  /** Begins to see to it that the filter is there and fresh. */
  #start(): void {
    if (this.#started || this.#disposed.signal.aborted) return
    this.#started = true
    void this.#live()
  }

  async #live(): Promise<void> {
    const { signal } = this.#disposed
    while (!signal.aborted) {
      if (this.#isDue() && this.#work.mayBegin) await this.#build().catch(() => {})
      await pause(this.#around.clock, LOOK_MS, signal).catch(() => {})
    }
  }

  #isDue(): boolean {
    const built = this.#built
    if (built === undefined || this.#state.value !== 'ready') return true
    const isOld = this.#around.clock.now() - built.at > this.#options.rebuildEveryMs
    return isOld || isWorn(this.#options, built.filter.shape, built.entries)
  }

  #build(): Promise<void> {
    return this.#work.run(async signal => {
      const { space, settled, clock } = this.#around
      const filter = new Filter(shapeToBuild(this.#options, this.#built?.entries ?? 0))
      this.#filling = filter
      try {
        const { entries, highWater } = await fillFromTable(
          filter,
          { space, settled, clock, options: this.#options },
          signal,
        )
        this.#built = { filter, highWater, entries, at: clock.now() }
        this.#builds++
        this.#state.ready()
      } finally {
        this.#filling = undefined
      }
    })
  }

  #witness(key: string): () => boolean {
    const built = this.#built
    return () => built !== undefined && built === this.#built && !built.filter.has(key)
  }

  #doubt(): void {
    this.#state.doubt()
    this.#build().catch(() => {})
  }
}
