/** The service's data access as one thing: made at once, started by one `init()`, ended by one `dispose()`. */

import { Cache, type CacheOptions } from '@breakwater/cache'
import { type Clock, type Duration, Faults, type Logger, systemClock } from '@breakwater/kernel'
import { Pool } from '@breakwater/pool'
import { type BuiltInName, type BuiltInSettings, builtInComponents } from './built-in.js'
import type { Component } from './lifecycle/component.js'
import type { Health } from './lifecycle/health.js'
import { Lifecycle } from './lifecycle/lifecycle.js'
import { createRedisClient, type Redis, type RedisClientOptions } from './redis-client.js'
import type { Timeline } from './timeline/recorder.js'

type PoolOptions = NonNullable<ConstructorParameters<typeof Pool>[0]>

export interface DataAccessOptions {
  /** Options of the pool; or a pool, which stays the caller's own and is not ended by `dispose()`. */
  readonly postgres: PoolOptions | Pool
  /**
   * Options of an ioredis client, with `url`; or a client, which stays the caller's own and is not closed by `dispose()`.
   * Left out: the cache lives in memory alone.
   */
  readonly redis?: RedisClientOptions | Redis
  /** Options of the cache. `missBudget` is half of the pool's connections, unless given. */
  readonly cache?: Omit<CacheOptions, 'redis'>
  /** Time-outs of the built-in components, and whether the service may run without them. */
  readonly components?: Partial<Record<BuiltInName, BuiltInSettings>>
  /** Gets a line for each step of the start and the stop. Default: none. */
  readonly logger?: Logger
  /** Default: the process's own. */
  readonly clock?: Clock
}

export interface InitOptions {
  /** Calls the start off: what has started is stopped again. */
  readonly signal?: AbortSignal
}

export interface DisposeOptions {
  /** By when everything is over; the last part of it goes by force. Default 25 s. */
  readonly deadline?: Duration
}

const OPTIONS = ['postgres', 'redis', 'cache', 'components', 'logger', 'clock']
const SETTINGS = ['startTimeout', 'stopTimeout', 'optional']
const BUILT_IN_NAMES: readonly string[] = ['postgres', 'redis', 'cache', 'guards'] satisfies BuiltInName[]

/**
 * Makes pool, Redis client and cache, not started: add components and declare spaces, then call `init()`.
 * @throws {BreakwaterError} kind `usage`, for options that are wrong.
 */
export function createDataAccess(options: DataAccessOptions): DataAccess {
  return new DataAccess(options)
}

/** What `createDataAccess` makes. */
export class DataAccess {
  readonly pool: Pool
  /** `undefined` when there is no Redis. */
  readonly redis: Redis | undefined
  readonly cache: Cache
  readonly #lifecycle: Lifecycle
  readonly #builtInNames: readonly string[]

  constructor(options: DataAccessOptions) {
    checkOptions(options)
    const { postgres, redis, cache = {}, components = {}, logger, clock = systemClock } = options
    this.pool = isPool(postgres) ? postgres : new Pool({ clock, ...postgres })
    this.redis = redis === undefined || isRedis(redis) ? redis : createRedisClient(redis, logger)
    this.cache = new Cache({
      clock,
      missBudget: Math.max(1, Math.floor(this.pool.options.max / 2)),
      ...(logger && { logger }),
      ...(this.redis && { redis: this.redis }),
      ...cache,
    })
    this.#lifecycle = new Lifecycle(clock, logger)
    const owned = { ownsPool: this.pool !== postgres, ownsRedis: this.redis !== redis }
    const builtIn = builtInComponents({ pool: this.pool, redis: this.redis, cache: this.cache, ...owned }, components)
    for (const component of builtIn) this.#lifecycle.add(component)
    this.#builtInNames = builtIn.map(component => component.name)
  }

  /** How everything is at this moment. */
  get health(): Health {
    return this.#lifecycle.health()
  }

  /**
   * Takes up a component of the service, to be started after the built-in ones and stopped before them, or where its
   * `dependsOn` puts it.
   * @throws {BreakwaterError} kind `usage`, code `ADDED_TOO_LATE`, once `init()` or `dispose()` was called. What is wrong with
   * the component itself is told by `init()`, for all of them at once.
   */
  add(component: Component): this {
    this.#lifecycle.add(component, this.#builtInNames)
    return this
  }

  /**
   * Starts everything in order. Called again it gives the same outcome; after a failure or `dispose()` make a new one.
   * @throws {BreakwaterError} kind `usage`: `COMPONENTS_INVALID` (nothing was started), `DISPOSED`.
   * @throws {LifecycleError} `INIT_FAILED`, `INIT_CANCELLED`: what had started has been stopped again.
   */
  async init(options: InitOptions = {}): Promise<this> {
    await this.#lifecycle.init(options)
    return this
  }

  /**
   * Drains and stops everything in reverse order; also without `init()` and during it, which it calls off. Called again
   * it gives the same outcome, and an earlier deadline holds.
   * @throws {LifecycleError} `DISPOSE_INCOMPLETE`: every hook was called, these failed or did not end in time.
   */
  dispose(options: DisposeOptions = {}): Promise<void> {
    return this.#lifecycle.dispose(options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** Returns how each step of the start and of the stop went so far. */
  timeline(): Timeline {
    return this.#lifecycle.timeline()
  }
}

function checkOptions(options: DataAccessOptions): void {
  const faults = new Faults()
  faults.unknownKeys(options, OPTIONS)
  const { postgres, redis, cache, components } = options
  faults.check(isObject(postgres), 'postgres must be options of the pool, or a pool')
  faults.check(redis === undefined || isObject(redis), 'redis must be options of an ioredis client, or a client')
  faults.check(cache === undefined || isObject(cache), 'cache must be options of the cache')
  faults.check(components === undefined || isObject(components), 'components must be settings by component')
  faults.throwIfAny('OPTION_INVALID', 'createDataAccess')
  faults.check(!isObject(cache) || !('redis' in cache), 'cache.redis is set by redis')
  for (const [name, settings] of Object.entries(components ?? {})) {
    faults.check(BUILT_IN_NAMES.includes(name), `components.${name} is not one of ${BUILT_IN_NAMES.join(', ')}`)
    for (const key of Object.keys(settings)) {
      faults.check(SETTINGS.includes(key), `components.${name}.${key} is not one of ${SETTINGS.join(', ')}`)
    }
  }
  faults.throwIfAny('OPTION_INVALID', 'createDataAccess')
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isPool(given: PoolOptions | Pool): given is Pool {
  return typeof (given as Partial<Pool>).connect === 'function'
}

function isRedis(given: RedisClientOptions | Redis): given is Redis {
  return typeof (given as Partial<Redis>).duplicate === 'function'
}
