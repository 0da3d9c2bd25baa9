/**
 * What changes a space's keys: here at once, in Redis in one script each, elsewhere through the log. What Redis cannot be
 * told is kept in the outbox, as a deletion: that stays true however late it is told.
 *
 * Each write fences this process twice: before Redis is told, so that nothing read before it is kept; and after, since what
 * was read in between may have taken the old value from Redis.
 */

import type { Codec } from './codec/codec.js'
import type { Kept } from './memory/first-tier.js'
import type { Acknowledgement } from './redis/client.js'
import type { Script } from './redis/script.js'
import { clear, expire, invalidate, set } from './redis/scripts.js'
import type { Shards } from './redis/shards.js'

/** A value from a writer. */
export interface Written<V> {
  readonly value: V | null
  readonly ttlMs: number
  readonly graceMs: number
  readonly tags: readonly string[]
  readonly ahead: number
}

export interface WritesParts<V> {
  readonly space: string
  /** None without Redis. */
  readonly shards: Shards | undefined
  readonly codec: Codec<V>
  /** Forgets a key here, and what is under way for it. */
  fence(key: string): void
  /** Makes a key old here, and fences what is under way for it. */
  expireHere(key: string): void
  keepHere(key: string, kept: Kept<V>): void
}

export class Writes<V> {
  readonly #parts: WritesParts<V>

  constructor(parts: WritesParts<V>) {
    this.#parts = parts
  }

  async delete(key: string): Promise<Acknowledgement> {
    this.#parts.fence(key)
    const acknowledged = await this.#announce(key, () => this.#run(invalidate, key, []))
    this.#parts.fence(key)
    return acknowledged
  }

  async expire(key: string): Promise<Acknowledgement> {
    if (this.#parts.shards === undefined) {
      this.#parts.expireHere(key)
      return 'applied'
    }
    this.#parts.fence(key)
    const acknowledged = await this.#announce(key, () => this.#run(expire, key, []))
    this.#parts.fence(key)
    return acknowledged
  }

  async set(key: string, written: Written<V>): Promise<Acknowledgement> {
    const { codec, space, shards } = this.#parts
    const entry = codec.encode(written.value)
    this.#parts.fence(key)
    const { value, ttlMs, graceMs, tags, ahead } = written
    if (shards === undefined) {
      const times = { freshMs: ttlMs, staleMs: ttlMs + graceMs, ageMs: 0, loadMs: 0 }
      this.#parts.keepHere(key, { value, weight: entry.weight, tags, ahead, alone: false, ...times })
      return 'applied'
    }
    const { kind, body } = await codec.pack(entry)
    const args = [space, kind, body, Math.ceil(ttlMs), Math.ceil(graceMs), codec.meta(tags)]
    const acknowledged = await this.#announce(
      key,
      () => this.#run(set, key, args),
      // Later it might overwrite a younger value; that there is a younger one stays true.
      () => this.#run(invalidate, key, []),
    )
    this.#parts.fence(key)
    return acknowledged
  }

  async #announce(key: string, tell: () => Promise<unknown>, later = tell): Promise<Acknowledgement> {
    const { shards, space } = this.#parts
    const shard = shards?.of(space, key)
    if (shard === undefined) return 'applied'
    const insteadOfAll = (): Promise<unknown> => shard.redis.tell(clear, shard.layout.control(), [space])
    return shard.redis.announce({ group: space, about: key, tell, later, insteadOfAll })
  }

  async #run(script: Script, key: string, args: readonly (string | number | Buffer)[]): Promise<unknown> {
    const { shards, space } = this.#parts
    const shard = shards?.of(space, key)
    const keys = shard === undefined ? [] : [...shard.layout.control(), ...shard.layout.of(space, key)]
    return shard?.redis.tell(script, keys, [`${space}:${key}`, ...args])
  }
}
