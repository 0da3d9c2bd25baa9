/** The first tier: entries of this process, a map a space, all spaces together bounded by bytes. The one door to lru-cache. */

import { LRUCache } from 'lru-cache'
import type { Trust } from '../redis/shards.js'

/** What is kept of a value. All instants are of this process's clock. */
export interface MemoryEntry<V> {
  readonly value: V | null
  /** Until when a hit needs no second thought: an early refresh, a log that is not heard. Never after `freshUntil`. */
  straightUntil: number
  /** When it turns stale, and until when it may be served then. */
  freshUntil: number
  staleUntil: number
  readonly storedAt: number
  /** How long its load took. */
  readonly loadMs: number
  /** Read past a Redis that did not answer: served until `freshUntil` whether the log is heard or not. */
  readonly alone: boolean
  /** Given by who hears of other instances' invalidations of this key. */
  readonly trust: Trust
  readonly tags: readonly string[]
  /** No tag of it was deleted up to this tick of the tags' clock. */
  tick: number
  /** Made on the first hit and handed to every later one: awaiting it costs half of what a new promise would. */
  resolved: Promise<V | null> | undefined
}

/** Bytes of an entry beside its value and key: map slot, list links, the entry object. Source: measured on Node 20, rounded up. */
const ENTRY_OVERHEAD_BYTES = 280

export class MemorySpace<V> {
  readonly entries: LRUCache<string, MemoryEntry<V>>
  readonly keepsNothing: boolean
  readonly #tier: MemoryTier

  constructor(tier: MemoryTier, maxBytes: number) {
    this.#tier = tier
    this.keepsNothing = maxBytes === 0
    // The tier's bound is the one that counts, and reaches over all spaces; this one only keeps lru-cache counting sizes.
    this.entries = new LRUCache({ maxSize: 2 * Math.max(1, maxBytes), maxEntrySize: Math.max(1, maxBytes) })
  }

  get(key: string): MemoryEntry<V> | undefined {
    return this.entries.get(key)
  }

  /** @param weight length of the value as serialized: what it takes here is estimated from it. */
  set(key: string, entry: MemoryEntry<V>, weight: number): void {
    this.entries.set(key, entry, { size: ENTRY_OVERHEAD_BYTES + 2 * (key.length + weight) })
    this.#tier.makeRoom()
  }

  delete(key: string): void {
    this.entries.delete(key)
  }

  /** Ends the freshness of an entry, or of all under a trust: what is left of its life is its grace. */
  expire(now: number, which: string | Trust): void {
    const entries = typeof which === 'string' ? [this.entries.peek(which)] : this.entries.values()
    for (const entry of entries) {
      if (entry === undefined || entry.freshUntil <= now) continue
      if (typeof which !== 'string' && entry.trust !== which) continue
      entry.staleUntil = now + (entry.staleUntil - entry.freshUntil)
      entry.straightUntil = now
      entry.freshUntil = now
    }
  }

  clear(): void {
    this.entries.clear()
  }
}

export class MemoryTier {
  readonly #maxBytes: number
  readonly #spaces: MemorySpace<unknown>[] = []
  evictions = 0

  /** @param maxBytes bound of all spaces together; 0 keeps nothing. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  space<V>(): MemorySpace<V> {
    const space = new MemorySpace<V>(this, this.#maxBytes)
    this.#spaces.push(space as MemorySpace<unknown>)
    return space
  }

  get bytes(): number {
    let bytes = 0
    for (const space of this.#spaces) bytes += space.entries.calculatedSize
    return bytes
  }

  get entryCount(): number {
    let count = 0
    for (const space of this.#spaces) count += space.entries.size
    return count
  }

  /** Evicts the least recently used entries of the heaviest space until all of them fit together. */
  makeRoom(): void {
    while (this.bytes > this.#maxBytes) {
      let heaviest = this.#spaces[0]
      for (const space of this.#spaces) {
        if (heaviest === undefined || space.entries.calculatedSize > heaviest.entries.calculatedSize) heaviest = space
      }
      heaviest?.entries.pop()
      this.evictions++
    }
  }

  clear(): void {
    for (const space of this.#spaces) space.clear()
  }
}
