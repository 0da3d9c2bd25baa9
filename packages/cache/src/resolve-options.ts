/** Options checked all at once, with their defaults, in milliseconds. */

import { type Clock, Faults, type Logger, parseDuration, systemClock } from '@breakwater/kernel'
import type { CodecOptions } from './codec/codec.js'
import { json } from './codec/serializer.js'
import type { Guard, Settled } from './guard/guard.js'
import { type CacheKey, NAME_PATTERN } from './keys.js'
import type { BatchLoader, CacheOptions, CachePolicy, Loader, SpaceOptions, WriteOptions } from './options.js'
import type { RedisLike } from './redis/redis-like.js'
import { encodeTags } from './tags/tag.js'

export interface ResolvedCacheOptions {
  readonly redis: RedisLike | undefined
  readonly memoryBytes: number
  readonly namespace: string
  readonly redisTimeoutMs: number
  readonly missBudget: number
  readonly maxLagMs: number
  readonly outboxSize: number
  readonly replicas: number
  readonly settled: Settled | undefined
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger | undefined
}

export interface ResolvedPolicy<V, K extends CacheKey> {
  readonly ttlMs: number
  readonly graceMs: number
  readonly absentTtlMs: number
  readonly jitter: number
  readonly tags: CachePolicy<V, K>['tags']
  /** XFetch's beta; 0 for never. */
  readonly ahead: number
  readonly softTimeoutMs: number
}

export interface ResolvedSpaceOptions<V, K extends CacheKey> {
  readonly policy: ResolvedPolicy<V, K>
  readonly load: Loader<V, K> | undefined
  readonly loadMany: BatchLoader<V, K> | undefined
  readonly batchSize: number
  readonly guard: Guard | undefined
  readonly hardTimeoutMs: number
  readonly leaseMs: number
  readonly backoffMs: number
  readonly codec: CodecOptions<V>
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
    'outbox',
    'replicas',
    'settled',
    'clock',
    'random',
    'logger',
  ])
  const { memory = { maxBytes: DEFAULT_MEMORY_BYTES }, namespace = 'bw', missBudget = 32 } = options
  const { outbox = 10_000, replicas = 0 } = options
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
    outbox === false || (Number.isInteger(outbox) && outbox >= 1 && outbox <= 1_000_000),
    `outbox must be false or a whole number of 1 to a million, not ${outbox}`,
  )
  faults.check(
    Number.isInteger(replicas) && replicas >= 0 && replicas <= 100,
    `replicas must be a whole number of 0 to 100, not ${replicas}`,
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
    outboxSize: outbox === false ? 0 : outbox,
    replicas,
    settled: options.settled,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
    logger: options.logger,
  }
  faults.throwIfAny('CACHE_OPTIONS_INVALID', 'cache options')
  return resolved
}

function policy<V, K extends CacheKey>(faults: Faults, options: CachePolicy<V, K>): ResolvedPolicy<V, K> {
  const { jitter = 0.1, tags, refreshAhead = false } = options
  const ttlMs = duration(faults, 'ttl', options.ttl, Number.NaN, 1)
  faults.check(options.ttl !== undefined, 'ttl is missing')
  faults.check(jitter >= 0 && jitter <= 1, `jitter must be 0 to 1, not ${jitter}`)
  faults.check(
    tags === undefined || typeof tags === 'function' || Array.isArray(tags),
    'tags must be an array of strings, or a function that returns one',
  )
  const ahead = Number(refreshAhead)
  faults.check(ahead >= 0 && ahead <= 100, `refreshAhead must be true, false or 0 to 100, not ${refreshAhead}`)
  return {
    ttlMs,
    graceMs: duration(faults, 'grace', options.grace, 0),
    absentTtlMs: duration(faults, 'absentTtl', options.absentTtl, Math.min(30_000, ttlMs), 1),
    jitter,
    tags,
    ahead,
    softTimeoutMs: duration(faults, 'softTimeout', options.softTimeout, 0),
  }
}

const POLICY_KEYS = ['ttl', 'grace', 'absentTtl', 'jitter', 'tags', 'refreshAhead', 'softTimeout']
const SPACE_KEYS = [
  ...POLICY_KEYS,
  'load',
  'loadMany',
  'batchSize',
  'guard',
  'hardTimeout',
  'leaseTime',
  'loadBackoff',
  'serializer',
  'compressAbove',
  'schema',
]

/** @throws {BreakwaterError} kind `usage`, code `CACHE_OPTIONS_INVALID`. */
export function resolvePolicy<V, K extends CacheKey>(options: CachePolicy<V, K>): ResolvedPolicy<V, K> {
  const faults = new Faults()
  faults.unknownKeys(options, POLICY_KEYS)
  const resolved = policy(faults, options)
  faults.throwIfAny('CACHE_OPTIONS_INVALID', 'options of a load')
  return resolved
}

/** @throws {BreakwaterError} kind `usage`, code `CACHE_OPTIONS_INVALID` or `CACHE_TAG_INVALID`. */
export function resolveWrite<V, K extends CacheKey>(
  options: WriteOptions | undefined,
  id: K,
  value: V | null,
  policy: ResolvedPolicy<V, K>,
): { ttlMs: number; tags: readonly string[] } {
  const faults = new Faults()
  if (options !== undefined) faults.unknownKeys(options, ['ttl', 'tags'])
  const ttlMs = duration(faults, 'ttl', options?.ttl, value === null ? policy.absentTtlMs : policy.ttlMs, 1)
  faults.throwIfAny('CACHE_OPTIONS_INVALID', 'options of a write')
  const own = typeof policy.tags === 'function' ? policy.tags(id, value) : policy.tags
  return { ttlMs, tags: encodeTags([...(own ?? []), ...(options?.tags ?? [])]) }
}

function codec<V, K extends CacheKey>(faults: Faults, options: SpaceOptions<V, K>): CodecOptions<V> {
  const { serializer = json, compressAbove = Number.POSITIVE_INFINITY, schema } = options
  faults.check(
    serializer === json ||
      (/^[\w.-]{1,16}$/.test(serializer.name) &&
        typeof serializer.serialize === 'function' &&
        typeof serializer.deserialize === 'function'),
    'serializer must have a name of 1 to 16 letters, digits, "_", "." or "-", serialize and deserialize',
  )
  faults.check(compressAbove >= 0, `compressAbove must be 0 or more, not ${compressAbove}`)
  faults.check(
    schema === undefined || typeof schema['~standard']?.validate === 'function',
    'schema must be a Standard Schema, as zod, valibot and arktype make them',
  )
  return { serializer, compressAbove, schema }
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
    codec: codec(faults, options),
  }
  faults.throwIfAny('CACHE_OPTIONS_INVALID', `space "${name}"`)
  return resolved
}
