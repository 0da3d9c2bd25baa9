/** What a loader is handed, and what it has said about its value by the time it returns. */

import { BreakwaterError, type Duration, parseDuration } from '@breakwater/kernel'
import type { LoaderContext } from '../options.js'
import { encodeTags } from '../tags/tag.js'

/** What a loader made of one key. */
export interface Loaded<V> {
  readonly value: V | null
  readonly loadMs: number
  /** None: the policy's. */
  readonly ttlMs: number | undefined
  /** Beside the policy's. */
  readonly tags: readonly string[]
}

// Functions in fields, since a loader takes them apart: `({ setTtl }) => …`.
export class Loading<V> implements LoaderContext<V> {
  readonly signal: AbortSignal
  readonly stale: V | null | undefined
  readonly #space: string
  #ttlMs: number | undefined
  #tags: readonly string[] = []

  constructor(space: string, signal: AbortSignal, stale: V | null | undefined) {
    this.#space = space
    this.signal = signal
    this.stale = stale
  }

  readonly notModified = (): V | null => {
    if (this.stale === undefined) throw this.#mistake('CACHE_NOTHING_STALE', 'notModified() without a stale value')
    return this.stale
  }

  readonly absent = (): null => null

  readonly setTtl = (ttl: Duration): void => {
    const ms = parseDuration(ttl)
    if (ms === undefined || !(ms >= 1)) {
      throw this.#mistake('CACHE_TTL_INVALID', `setTtl takes a duration of 1 ms or more, not ${String(ttl)}`)
    }
    this.#ttlMs = ms
  }

  readonly setTags = (tags: readonly string[]): void => {
    this.#tags = [...this.#tags, ...encodeTags(tags)]
  }

  loaded(value: V | null, loadMs: number): Loaded<V> {
    return { value, loadMs, ttlMs: this.#ttlMs, tags: this.#tags }
  }

  #mistake(code: string, problem: string): BreakwaterError {
    return new BreakwaterError('usage', code, `space "${this.#space}": ${problem}`)
  }
}
