/** A cache as its users use it, in one shape for all: set up as its documentation recommends, and asked for a key. */

/** Where values are kept. */
export type Tiers = 'memory' | 'redis' | 'both'

interface CacheOrder {
  readonly tiers: Tiers
  readonly redis: RedisAddress
  readonly ttlMs: number
  /** Reads a value from where it comes from. */
  load(key: string): Promise<unknown>
}

export interface RedisAddress {
  readonly host: string
  readonly port: number
  readonly url: string
}

export interface OpenCache {
  /** Reads a key, loading it on a miss. */
  get(key: string): PromiseLike<unknown>
  /** Not for a cache that reads keys one by one only. */
  getMany?(keys: readonly string[]): Promise<unknown>
  /** Returns what memory holds, without a promise; not for a cache that has no such way. */
  peek?(key: string): unknown
  /** Removes a key, here and elsewhere as far as the cache does that. */
  invalidate(key: string): PromiseLike<unknown>
  close(): Promise<unknown>
}

export interface CacheContender {
  open(order: CacheOrder): Promise<OpenCache> | OpenCache
}
