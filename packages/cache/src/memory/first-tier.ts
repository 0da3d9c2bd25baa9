/**
 * The first tier of one space: what is kept, when a hit may be believed, and when a value that is still fresh is worth
 * refreshing. `straight` is all that a hit costs; everything else is past it.
 */

import type { Clock } from '@breakwater/kernel'
import type { Trust } from '../redis/shards.js'
import type { TagClock } from '../tags/tag-clock.js'
import type { MemoryEntry, MemorySpace } from './memory-tier.js'

/** What is to be kept of a value; times in ms from now. */
export interface Kept<V> {
  readonly value: V | null
  readonly weight: number
  readonly tags: readonly string[]
  readonly loadMs: number
  readonly ageMs: number
  readonly freshMs: number
  readonly staleMs: number
  /** Read past a Redis that did not answer. */
  readonly alone: boolean
  /** XFetch's beta; 0 for no early refresh. */
  readonly ahead: number
}

/** -ln of a random number exceeds this once in five hundred million times: before that, an early refresh is not thought of. */
const MOST_LUCK = 20

export interface FirstTierParts<V> {
  readonly clock: Clock
  readonly random: () => number
  readonly memory: MemorySpace<V>
  readonly tags: TagClock
  /** Under whose word a key is kept. */
  trustOf(key: string): Trust
  /** For how long a value may be served that nobody can be heard to delete. */
  readonly maxLagMs: number
}

export class FirstTier<V> {
  readonly #memory: MemorySpace<V>
  readonly #clock: Clock
  readonly #random: () => number
  readonly #tags: TagClock
  readonly #trustOf: (key: string) => Trust
  readonly #maxLagMs: number

  constructor(parts: FirstTierParts<V>) {
    this.#memory = parts.memory
    this.#clock = parts.clock
    this.#random = parts.random
    this.#tags = parts.tags
    this.#trustOf = parts.trustOf
    this.#maxLagMs = parts.maxLagMs
  }

  get tick(): number {
    return this.#tags.tick
  }

  /** Returns what may be handed out with no second thought. */
  straight(key: string): MemoryEntry<V> | undefined {
    const entry = this.#memory.get(key)
    if (entry === undefined) return undefined
    const now = this.#clock.coarse()
    if (now < entry.straightUntil && now < entry.trust.until && entry.tick === this.#tags.tick) return entry
    return undefined
  }

  /** Returns what may be handed out, fresh or stale; forgets what a tag has taken. */
  find(key: string): MemoryEntry<V> | undefined {
    const entry = this.#memory.get(key)
    if (entry === undefined) return undefined
    if (entry.tick !== this.#tags.tick) {
      if (!this.#tags.stand(entry.tags, entry.tick)) {
        this.#memory.delete(key)
        return undefined
      }
      entry.tick = this.#tags.tick
    }
    const now = this.#clock.now()
    if (entry.alone) return now < entry.freshUntil ? entry : undefined
    return now < entry.staleUntil && now < entry.trust.until ? entry : undefined
  }

  /** Whether what is kept of a key now may be believed. */
  isTrusted(key: string): boolean {
    return this.#clock.now() < this.#trustOf(key).until
  }

  isFresh(entry: MemoryEntry<V>): boolean {
    return this.#clock.now() < entry.freshUntil
  }

  age(entry: MemoryEntry<V>): number {
    return this.#clock.now() - entry.storedAt
  }

  /** For how long past now a stale entry may be served. */
  left(entry: MemoryEntry<V>): number {
    return entry.staleUntil - this.#clock.now()
  }

  /**
   * Draws how long before its end a fresh value is to be refreshed by this caller, 0 for not yet: XFetch. The longer the
   * load takes and the nearer the end, the likelier.
   */
  drawAhead(entry: MemoryEntry<V>, beta: number): number {
    if (beta === 0 || entry.alone) return 0
    const aheadMs = -Math.log(this.#random()) * entry.loadMs * beta
    return this.#clock.now() + aheadMs >= entry.freshUntil ? aheadMs : 0
  }

  /**
   * Keeps a value; false if one of its tags was deleted since it was read.
   *
   * @param tick of the tags' clock, and `readAt` of the clock, before it was read.
   */
  keep(key: string, kept: Kept<V>, tick: number, readAt: number): boolean {
    const { value, weight, tags, loadMs, ageMs, alone, ahead } = kept
    if (!this.#tags.stand(tags, tick)) return false
    if (this.#memory.keepsNothing) return true
    const now = this.#clock.now()
    // Nobody's lease covers it: it is bounded as what is kept while the log is not heard.
    const freshUntil = alone ? readAt + Math.min(kept.freshMs, this.#maxLagMs) : now + kept.freshMs
    const entry: MemoryEntry<V> = {
      value,
      straightUntil: freshUntil - ahead * loadMs * MOST_LUCK,
      freshUntil,
      staleUntil: alone ? freshUntil : now + kept.staleMs,
      storedAt: now - ageMs,
      loadMs,
      alone,
      trust: this.#trustOf(key),
      tags,
      tick,
      resolved: undefined,
    }
    this.#memory.set(key, entry, weight)
    return true
  }

  delete(key: string): void {
    this.#memory.delete(key)
  }

  /** Ends the freshness of what is kept of a key, or under a trust. */
  expire(which: string | Trust): void {
    this.#memory.expire(this.#clock.now(), which)
  }

  clear(): void {
    this.#memory.clear()
  }
}
