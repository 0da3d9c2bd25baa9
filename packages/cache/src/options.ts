/** Options of a cache, of a space and of one call. */

import type { Clock, Duration, Logger } from '@breakwater/kernel'
import type { StandardSchema } from './codec/schema.js'
import type { Serializer } from './codec/serializer.js'
import type { Guard, Settled } from './guard/guard.js'
import type { CacheKey } from './keys.js'
import type { RedisLike } from './redis/redis-like.js'

export interface CacheOptions {
  /** The second tier: an ioredis client, which stays the caller's own. Without it the cache lives in memory alone. */
  redis?: RedisLike
  /** The first tier's bound, all spaces together; `false` for none. Default `{ maxBytes: 67_108_864 }` (64 MiB). */
  memory?: { maxBytes: number } | false
  /** First part of every key in Redis: letters, digits, `_`, `.`, `-`, 1 to 64. Default `'bw'`. */
  namespace?: string
  /** Longest wait for one reply of Redis. Default 150 ms. */
  redisTimeout?: Duration
  /** How many loads may run at once in this process, 1 to Infinity. Default 32. */
  missBudget?: number
  /**
   * Longest time for which the first tier serves while this instance cannot hear of other instances' invalidations,
   * 100 ms or more. Default 1 s. Until then it may hold what another instance has changed; after that it is bypassed.
   */
  maxLag?: Duration
  /**
   * Invalidations that are kept of each space while Redis cannot be told, 1 to a million; one more, and the whole space is
   * cleared instead. `false`: none are kept, and what cannot be told rejects. Default 10,000.
   */
  outbox?: number | false
  /**
   * How many replicas must have an invalidation before it counts as acknowledged, so that a failover to one of them cannot
   * lose it. Waits for half of `redisTimeout`, on the client's own connection. Default 0.
   */
  replicas?: number
  /**
   * Resolves when every database transaction that is open at the call has ended. Guards wait for it before they read a
   * table, so that no row is lost between its `add` and a scan. Default: none, and core gives one for its pool.
   */
  settled?: Settled
  /** Default: the process's own. */
  clock?: Clock
  /** Source of jitter, of refreshes ahead and of the guard's audit, from 0 to 1 exclusive. Default `Math.random`. */
  random?: () => number
  logger?: Logger
}

export interface CachePolicy<V = unknown, K extends CacheKey = CacheKey> {
  /** How long a value is fresh (logical expiry), more than 0. It stays in Redis for ttl + grace. */
  ttl: Duration
  /** How long past its ttl a value may still be served while one caller in the fleet refreshes it. Default 0. */
  grace?: Duration
  /** How long a key is known not to exist after a loader said so with null. Default 30 s, and at most the ttl. */
  absentTtl?: Duration
  /** Part of each ttl that is drawn at random and taken off, so that keys do not expire together; 0 to 1. Default 0.1. */
  jitter?: number
  /** What `deleteByTag` removes the value by: strings of up to 256 characters. Default none. */
  tags?: readonly string[] | ((id: K, value: V | null) => readonly string[])
  /**
   * Refreshes a value that is asked for before it turns stale, the likelier the nearer that is and the longer its load
   * takes; one caller in the fleet does. `true` is 1; a larger number begins earlier. Default `false`.
   * Source: XFetch; Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
   */
  refreshAhead?: boolean | number
  /**
   * How long a caller waits for a stale value's refresh before it gets the stale one. Default 0: it gets it at once, and
   * the refresh runs behind.
   */
  softTimeout?: Duration
}

export interface LoaderContext<V> {
  /**
   * Aborted when the load is no longer wanted: all who waited have aborted, it took three hard time-outs, or the cache is
   * being disposed of.
   */
  readonly signal: AbortSignal
  /** The value that has turned stale, if there is one. */
  readonly stale: V | null | undefined
  /**
   * Says that the stale value is still right: `return notModified()`.
   *
   * @throws {BreakwaterError} kind `usage`, code `CACHE_NOTHING_STALE`, if there is none.
   */
  readonly notModified: () => V | null
  /** Says that there is none: `return absent()`, the same as `return null`. */
  readonly absent: () => null
  /** Sets how long this value, or its absence, is fresh, in the place of `ttl` and `absentTtl`. Jitter still applies. */
  readonly setTtl: (ttl: Duration) => void
  /** Adds to the tags of this value. A deletion of one of them since the load began counts, though it was not named yet. */
  readonly setTags: (tags: readonly string[]) => void
}

export interface ReadOptions {
  /** Ends this caller's wait, and no one else's; the load is aborted once nobody waits for it any more. */
  readonly signal?: AbortSignal
}

export interface WriteOptions {
  /** In the place of the space's `ttl`, or of `absentTtl`. */
  readonly ttl?: Duration
  /** Beside the space's own. */
  readonly tags?: readonly string[]
}

/** Reads or computes the value of one key. `null` means that it does not exist; `undefined` is an error. */
export type Loader<V, K extends CacheKey = CacheKey> = (
  id: K,
  context: LoaderContext<V>,
) => Promise<V | null> | V | null

/**
 * Reads or computes the values of many keys, in one query. An id that is left out of the map does not exist. It may be
 * given the ids of several calls, each once.
 */
export type BatchLoader<V, K extends CacheKey = CacheKey> = (
  ids: readonly K[],
  context: Pick<LoaderContext<V>, 'signal'>,
) => Promise<Map<K, V | null>>

export interface SpaceOptions<V, K extends CacheKey = CacheKey> extends CachePolicy<V, K> {
  /** Needed by `get` and `getMany`, unless there is `loadMany`. */
  load?: Loader<V, K>
  /** Used in the place of `load`: what is to be loaded at the same moment is loaded together. */
  loadMany?: BatchLoader<V, K>
  /** Most ids in one call of `loadMany`, from 1. Default 500. */
  batchSize?: number
  /** Answers for keys that do not exist without asking Redis's values or the loader; see `bloomGuard`. */
  guard?: Guard
  /** Longest wait of a caller for a load; then it is rejected and the load goes on. Default 10 s. */
  hardTimeout?: Duration
  /** After how long another process takes over from a loader that died; a living one renews it. Default 3 s. */
  leaseTime?: Duration
  /** How long a failed load answers for its key instead of being repeated. Default 1 s; 0 for not at all. */
  loadBackoff?: Duration
  /** How values become bytes. Default JSON. */
  serializer?: Serializer
  /** Values longer than this many characters, or bytes, are compressed in Redis. Default: none are. */
  compressAbove?: number
  /** What a value read from Redis must look like, or it is a miss; what the schema makes of it is the value. Default any. */
  schema?: StandardSchema<V>
}
