/** Options of a cache and of a space: checked all at once, with defaults, in milliseconds. */

import { type Clock, type Duration, Faults, type Logger, parseDuration, systemClock } from '@breakwater/kernel'
import type { Guard, Settled } from './guard/guard.js'
import { type CacheKey, NAME_PATTERN } from './keys.js'
import type { RedisLike } from './redis/client.js'

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
   * Resolves when every database transaction that is open at the call has ended. Guards wait for it before they read a
   * table, so that no row is lost between its `add` and a scan. Default: none, and core gives one for its pool.
   */
  settled?: Settled
  /** Default: the process's own. */
  clock?: Clock
  logger?: Logger
}

export interface CachePolicy {
  /** How long a value is fresh (logical expiry), more than 0. It stays in Redis for ttl + grace. */
  ttl: Duration
  /** How long past its ttl a value may still be served while one caller in the fleet refreshes it. Default 0. */
  grace?: Duration
  /** How long a key is known not to exist after a loader said so with null. Default 30 s, and at most the ttl. */
  absentTtl?: Duration
  /** Part of each ttl that is drawn at random and taken off, so that keys do not expire together; 0 to 1. Default 0.1. */
  jitter?: number
}

export interface LoaderContext<V> {
  /** Aborted when the load is no longer wanted: it took three hard time-outs, or the cache is being disposed of. */
  readonly signal: AbortSignal
  /** The value that has turned stale, if there is one. */
  readonly stale: V | null | undefined
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

export interface SpaceOptions<V, K extends CacheKey = CacheKey> extends CachePolicy {
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
}

export interface ResolvedCacheOptions {
  readonly redis: RedisLike | undefined
  readonly memoryBytes: number
  readonly namespace: string
  readonly redisTimeoutMs: number
  readonly missBudget: number
  readonly maxLagMs: number
  readonly settled: Settled | undefined
  readonly clock: Clock
  readonly logger: Logger | undefined
}

export interface ResolvedPolicy {
  readonly ttlMs: number
  readonly graceMs: number
  readonly absentTtlMs: number
  readonly jitter: number
}

export interface ResolvedSpaceOptions<V, K extends CacheKey> {
  readonly policy: ResolvedPolicy
  readonly load: Loader<V, K> | undefined
  readonly loadMany: BatchLoader<V, K> | undefined
  readonly batchSize: number
  readonly guard: Guard | undefined
  readonly hardTimeoutMs: number
  readonly leaseMs: number
  readonly backoffMs: number
}

const DEFAULT_MEMORY_BYTES = 64 * 1024 * 1024
/** Ten years: what Redis and JavaScript both count exactly. */
const LONGEST_MS = 10 * 365 * 86_400_000

function duration(faults: Faults, name: string, value: unknown, fallback: number, min = 0): number {
  if (value === undefined) return fallback
  const ms = parseDuration(value)
  faults.check(
    ms !== undefined && ms >= min && ms <= LONGEST_MS,
    `${name} must be a duration of ${min} ms to ten years, as ms or '30s', not ${String(value)}`,
  )
  return ms ?? fallback
}

/** @throws {BreakwaterError} kind `usage`, code `CACHE_OPTIONS_INVALID`, naming every fault. */
export function resolveCacheOptions(options: CacheOptions): ResolvedCacheOptions {
  const faults = new Faults()
  faults.unknownKeys(options, [
    'redis',
    'memory',
    'namespace',
    'redisTimeout',
    'missBudget',
    'maxLag',
    'settled',
    'clock',
    'logger',
  ])
  const { memory = { maxBytes: DEFAULT_MEMORY_BYTES }, namespace = 'bw', missBudget = 32 } = options
  const memoryBytes = memory === false ? 0 : memory.maxBytes
  faults.check(
    memoryBytes >= 0 && memoryBytes < Number.POSITIVE_INFINITY,
    `memory.maxBytes must be 0 or more bytes, not ${memoryBytes}`,
  )
  faults.check(
    NAME_PATTERN.test(namespace),
    `namespace must be 1 to 64 letters, digits, "_", "." or "-", not "${namespace}"`,
  )
  faults.check(
    missBudget === Number.POSITIVE_INFINITY || (Number.isInteger(missBudget) && missBudget >= 1),
    `missBudget must be a whole number of 1 or more, or Infinity, not ${missBudget}`,
  )
  faults.check(
    options.redis === undefined || typeof options.redis.call === 'function',
    'redis must be an ioredis client (something with call, duplicate, subscribe)',
  )
  faults.check(
    options.settled === undefined || typeof options.settled === 'function',
    'settled must be a function that returns a promise',
  )
  const resolved = {
    redis: options.redis,
    memoryBytes,
    namespace,
    redisTimeoutMs: duration(faults, 'redisTimeout', options.redisTimeout, 150, 1),
    missBudget,
    maxLagMs: duration(faults, 'maxLag', options.maxLag, 1_000, 100),
    settled: options.settled,
    clock: options.clock ?? systemClock,
    logger: options.logger,
  }
  faults.throwIfAny('CACHE_OPTIONS_INVALID', 'cache options')
  return resolved
}

function policy(faults: Faults, options: CachePolicy): ResolvedPolicy {
  const { jitter = 0.1 } = options
  const ttlMs = duration(faults, 'ttl', options.ttl, Number.NaN, 1)
  faults.check(options.ttl !== undefined, 'ttl is missing')
  faults.check(jitter >= 0 && jitter <= 1, `jitter must be 0 to 1, not ${jitter}`)
  return {
    ttlMs,
    graceMs: duration(faults, 'grace', options.grace, 0),
    absentTtlMs: duration(faults, 'absentTtl', options.absentTtl, Math.min(30_000, ttlMs), 1),
    jitter,
  }
}

const POLICY_KEYS = ['ttl', 'grace', 'absentTtl', 'jitter']
const SPACE_KEYS = [...POLICY_KEYS, 'load', 'loadMany', 'batchSize', 'guard', 'hardTimeout', 'leaseTime', 'loadBackoff']

/** @throws {BreakwaterError} kind `usage`, code `CACHE_OPTIONS_INVALID`. */
export function resolvePolicy(options: CachePolicy): ResolvedPolicy {
  const faults = new Faults()
  faults.unknownKeys(options, POLICY_KEYS)
  const resolved = policy(faults, options)
  faults.throwIfAny('CACHE_OPTIONS_INVALID', 'options of a load')
  return resolved
}

/** @throws {BreakwaterError} kind `usage`, code `CACHE_OPTIONS_INVALID`, naming every fault. */
export function resolveSpaceOptions<V, K extends CacheKey>(
  name: string,
  options: SpaceOptions<V, K>,
): ResolvedSpaceOptions<V, K> {
  const faults = new Faults()
  faults.check(NAME_PATTERN.test(name), `its name must be 1 to 64 letters, digits, "_", "." or "-"`)
  faults.unknownKeys(options, SPACE_KEYS)
  const { load, loadMany, batchSize = 500 } = options
  faults.check(load === undefined || typeof load === 'function', 'load must be a function')
  faults.check(loadMany === undefined || typeof loadMany === 'function', 'loadMany must be a function')
  faults.check(load === undefined || loadMany === undefined, 'load and loadMany exclude each other')
  faults.check(
    Number.isInteger(batchSize) && batchSize >= 1,
    `batchSize must be a whole number from 1, not ${batchSize}`,
  )
  const resolved = {
    policy: policy(faults, options),
    load,
    loadMany,
    batchSize,
    guard: options.guard,
    hardTimeoutMs: duration(faults, 'hardTimeout', options.hardTimeout, 10_000, 1),
    leaseMs: duration(faults, 'leaseTime', options.leaseTime, 3_000, 100),
    backoffMs: duration(faults, 'loadBackoff', options.loadBackoff, 1_000),
  }
  faults.throwIfAny('CACHE_OPTIONS_INVALID', `space "${name}"`)
  return resolved
}
