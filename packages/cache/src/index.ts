export { Cache, type LifeOptions } from './cache.js'
export type { CacheStats } from './cache-stats.js'
export type { SchemaResult, StandardSchema } from './codec/schema.js'
export type { Serializer } from './codec/serializer.js'
export { bloomGuard } from './guard/bloom-guard.js'
export type { BoundGuard, Guard, GuardStats, Settled } from './guard/guard.js'
export type { BloomGuardOptions } from './guard/guard-options.js'
export type { CacheKey } from './keys.js'
export type { Outcome, Source } from './load/flight.js'
export type { CacheDuration, LoadMessage } from './load/load-log.js'
export type {
  BatchLoader,
  CacheOptions,
  CachePolicy,
  Loader,
  LoaderContext,
  ReadOptions,
  SpaceOptions,
  WriteOptions,
} from './options.js'
export type { Acknowledgement } from './redis/client.js'
export type { RedisMessage } from './redis/redis-channel.js'
export type { RedisLike } from './redis/redis-like.js'
export type { Space } from './space.js'
export type { SpaceReading, SpaceStats } from './space-stats.js'
export type { WrapOptions, Wrapped } from './wrap.js'
