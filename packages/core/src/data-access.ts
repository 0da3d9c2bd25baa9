/** The service's data access as one thing: made at once, started by one `init()`, ended by one `dispose()`. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Cache, type CacheOptions } from '@breakwater/cache'
import {
  BreakwaterError,
  type Clock,
  type Duration,
  Faults,
  type Logger,
  type StepContext,
  systemClock,
} from '@breakwater/kernel'
import { Pool } from '@breakwater/pool'
import { type BuiltInName, type BuiltInSettings, builtInComponents } from './built-in.js'
import { type ConsumeOptions, consumerComponent } from './consumers/consumer-component.js'
import type { Finding } from './environment/checks.js'
import { type EnvironmentOptions, environmentComponent } from './environment/environment.js'
import { flushOf } from './flush.js'
import { transactionsSettled } from './guard/transactions-settled.js'
import {
  checkDrainDelay,
  type DrainDelayOptions,
  resolveDrainDelay,
  type Traffic,
  waitForQuiet,
} from './http/drain-delay.js'
import { Probes } from './http/probes.js'
import { type ServeOptions, serverComponent } from './http/serve.js'
import type { Component, Consumer } from './lifecycle/component.js'
import type { LifecycleEvent } from './lifecycle/events.js'
import type { Health } from './lifecycle/health.js'
import { DISPOSE_MS, Lifecycle } from './lifecycle/lifecycle.js'
import { logPool } from './logs/pool-lines.js'
import { addCache } from './metrics/cache-samples.js'
import { LifecycleFigures } from './metrics/lifecycle-figures.js'
import { addPool, named } from './metrics/pool-samples.js'
import { type Sample, Samples } from './metrics/sample.js'
import { type AnyRedis, createRedisClient, type RedisClientOptions } from './redis-client.js'
import { SignalHandler, type SignalOptions } from './signals/signal-handler.js'
import type { Timeline } from './timeline/timeline.js'
import { queryTagsOf, type SqlcommenterOption } from './tracing/query-tags.js'
import type { WorkContext } from './work/in-flight.js'

type PoolOptions = NonNullable<ConstructorParameters<typeof Pool>[0]>

export interface DataAccessOptions {
  /** Options of the pool; or a pool, which stays the caller's own and is not ended by `dispose()`. */
  readonly postgres: PoolOptions | Pool
  /**
   * Options of an ioredis client, with `url`, `cluster` or `sentinels`; or a client, a `Redis` or a `Cluster`, which stays
   * the caller's own and is not closed by `dispose()`. Left out: the cache lives in memory alone.
   */
  readonly redis?: RedisClientOptions | AnyRedis
  /** Options of the cache. `missBudget` is half of the pool's connections, unless given. */
  readonly cache?: Omit<CacheOptions, 'redis'>
  /** Time-outs of the built-in components, and whether the service may run without them. */
  readonly components?: Partial<Record<BuiltInName, BuiltInSettings>>
  /**
   * Versions, limits and clocks are looked at when the servers are there, in two queries and one INFO, and what does not fit
   * is logged. With options what cannot work ends the start; `false` for no look at all. Default: told, and no more.
   */
  readonly environment?: EnvironmentOptions | false
  /** Gets a line for each step of the start and the stop. Default: none. */
  readonly logger?: Logger
  /**
   * How long the stop goes on taking traffic, until it is routed elsewhere: in Kubernetes, or where somebody asks for
   * `/ready`. It ends as soon as no request has come for a while.
   */
  readonly drainDelay?: DrainDelayOptions
  /**
   * Writes behind each query, in the form of sqlcommenter, which trace it belongs to, and tags of your own, so that the
   * database's logs and `pg_stat_activity` say whose it is. The price: a text that is another each time is not prepared.
   * For a pool that is made here; one of your own has `queryTags`. Default false.
   */
  readonly sqlcommenter?: SqlcommenterOption
  /** Sends off what was logged, measured and traced; called as the last thing of the stop. A pino logger flushes itself. */
  readonly flush?: (context: StepContext) => unknown
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
  /** Waits for nothing any more, also if a stop is under way: all is over within half a second. Default false. */
  readonly force?: boolean
}

const OPTIONS = [
  ...['postgres', 'redis', 'cache', 'components', 'environment', 'logger', 'drainDelay', 'sqlcommenter', 'flush'],
  'clock',
]
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
  readonly redis: AnyRedis | undefined
  readonly cache: Cache
  readonly #clock: Clock
  readonly #logger: Logger | undefined
  readonly #lifecycle: Lifecycle
  readonly #figures = new LifecycleFigures()
  readonly #probes: Probes
  readonly #builtInNames: readonly string[]
  #signals: SignalHandler | undefined

  constructor(options: DataAccessOptions) {
    checkOptions(options)
    const { postgres, redis, cache = {}, components = {}, logger, flush, clock = systemClock } = options
    this.#clock = clock
    this.#logger = logger
    const delay = resolveDrainDelay(options.drainDelay)
    this.#lifecycle = new Lifecycle(clock, logger, {
      delay: (signal, budgetMs) => waitForQuiet(delay, this.#traffic(), clock, budgetMs, signal),
      flush: flushOf(logger, flush),
    })
    const { inFlight } = this.#lifecycle
    const queryTags = queryTagsOf(options.sqlcommenter)
    const told = { describeCaller: () => inFlight.current, ...(queryTags && { queryTags }) }
    this.pool = isPool(postgres) ? postgres : new Pool({ clock, ...told, ...postgres })
    this.redis = redis === undefined || isRedis(redis) ? redis : createRedisClient(redis, logger)
    this.cache = new Cache({
      clock,
      missBudget: Math.max(1, Math.floor(this.pool.options.max / 2)),
      settled: ({ signal }) => transactionsSettled(this.pool, clock, signal),
      ...(logger && { logger }),
      ...(this.redis && { redis: this.redis }),
      ...cache,
    })
    this.#lifecycle.events.subscribe(this.#figures.note)
    if (logger !== undefined) this.pool.observe(logPool(logger, clock))
    this.#probes = new Probes(this.#lifecycle)
    const owned = { ownsPool: this.pool !== postgres, ownsRedis: this.redis !== redis }
    const builtIn = builtInComponents({ pool: this.pool, redis: this.redis, cache: this.cache, ...owned }, components)
    if (options.environment !== false) {
      const stopMs = (): number => this.#signals?.deadlineMs ?? DISPOSE_MS
      const found = (findings: readonly Finding[]): void => this.#figures.found(findings)
      const around = { pool: this.pool, redis: this.redis, clock, logger, stopMs, found }
      builtIn.unshift(environmentComponent(options.environment, around))
    }
    for (const component of builtIn) this.#lifecycle.add(component)
    this.#builtInNames = builtIn.map(component => component.name)
  }

  /** How everything is at this moment. */
  get health(): Health {
    return this.#lifecycle.health()
  }

  /** Whether work should be sent here: all has started, nothing stops, and everything works that is not optional. */
  get isReady(): boolean {
    return this.#lifecycle.isReady
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
   * Takes up a server (of `node:http`, and so Express, Koa, Fastify, Hono): it listens as the last thing of the start and
   * closes as the first of the stop, which waits for its requests.
   * @throws {BreakwaterError} kind `usage`: `OPTION_INVALID`, `ADDED_TOO_LATE`.
   */
  serve(server: Server, options: ServeOptions = {}): this {
    this.#lifecycle.add(serverComponent(server, options, this.#lifecycle.inFlight, this.#clock), 'others')
    return this
  }

  /**
   * Takes up something that takes work by itself, such as a worker of a queue. It begins when everything is ready; at the
   * stop, when requests have ended, it is to pause, finish, commit and disconnect.
   * @throws {BreakwaterError} kind `usage`: `OPTION_INVALID`, `ADDED_TOO_LATE`.
   */
  consume(name: string, consumer: Consumer & ConsumeOptions): this {
    this.#lifecycle.add(consumerComponent(name, consumer), 'others')
    return this
  }

  /**
   * Calls `fn`, and settles as its promise does, for which a stop waits. For work that no server of `serve` brings.
   * @throws {BreakwaterError} kind `rejected`, code `DRAINING`, once the stop has closed the intake; work within work that is
   * under way is still let in.
   */
  track<T>(name: string, fn: (context: WorkContext) => T): Promise<Awaited<T>> {
    return this.#lifecycle.inFlight.track(name, fn)
  }

  /** Calls `fn` detached from its caller; a stop waits for it, after the requests. What it fails with is logged. */
  background(name: string, fn: (context: WorkContext) => unknown): void {
    this.#lifecycle.inFlight.detach(name, fn, error => {
      this.#lifecycle.events.emit({ type: 'lifecycle.work-failed', name, error })
    })
  }

  /** Answers `/live`, `/ready` and `/startup`, and returns whether it has; if not, the request is somebody else's. */
  probes(request: IncomingMessage, response: ServerResponse): boolean {
    return this.#probes.answer(request, response)
  }

  /**
   * From now on SIGTERM, SIGINT, SIGHUP, SIGBREAK and the parent's message `shutdown` dispose of everything and end the
   * process, and so does a crash; a second signal forces. Code 0 if all went well, else 1.
   * @throws {BreakwaterError} kind `usage`: `OPTION_INVALID`, `SIGNALS_HANDLED`.
   */
  handleSignals(options: SignalOptions = {}): this {
    if (this.#signals !== undefined) throw new BreakwaterError('usage', 'SIGNALS_HANDLED', 'handleSignals() was called')
    const service = {
      events: this.#lifecycle.events,
      isLogged: this.#logger !== undefined,
      dispose: (how: DisposeOptions) => this.#lifecycle.dispose(how),
    }
    this.#signals = new SignalHandler(service, this.#clock, options)
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
  async dispose(options: DisposeOptions = {}): Promise<void> {
    try {
      await this.#lifecycle.dispose(options)
    } finally {
      this.#signals?.release()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** Returns how each step of the start and of the stop went so far, to be read, printed or drawn. */
  timeline(): Timeline {
    return this.#lifecycle.timeline()
  }

  /** Calls `listener` with all that the start and the stop report, until the returned function is called. */
  observe(listener: (event: LifecycleEvent) => void): () => void {
    return this.#lifecycle.events.subscribe(listener)
  }

  /** Returns every metric as it is at this moment; `pools` are told of beside the own one. Exporters read this. */
  metrics({ pools = [] }: { pools?: readonly Pool[] } = {}): readonly Sample[] {
    const samples = new Samples()
    for (const [name, pool] of named([this.pool, ...pools])) addPool(samples, name, pool.stats())
    addCache(samples, this.cache.stats())
    this.#figures.addTo(samples, this.health, this.#lifecycle.inFlight.foreground.size, this.#clock.now())
    return samples.all
  }

  #traffic(): Traffic {
    const { inFlight } = this.#lifecycle
    return { lastRequestAt: () => inFlight.lastRequestAt, readiness: this.#probes.readiness }
  }
}

function checkOptions(options: DataAccessOptions): void {
  const faults = new Faults()
  faults.unknownKeys(options, OPTIONS)
  const { postgres, redis, cache, components, drainDelay, sqlcommenter, flush } = options
  faults.check(isObject(postgres), 'postgres must be options of the pool, or a pool')
  faults.check(redis === undefined || isObject(redis), 'redis must be options of an ioredis client, or a client')
  faults.check(cache === undefined || isObject(cache), 'cache must be options of the cache')
  faults.check(components === undefined || isObject(components), 'components must be settings by component')
  faults.check(drainDelay === undefined || isObject(drainDelay), 'drainDelay must be options')
  const isTags = isObject(sqlcommenter) && Object.values(sqlcommenter).every(tag => typeof tag === 'string')
  faults.check(
    [undefined, true, false].includes(sqlcommenter as boolean) || isTags,
    'sqlcommenter must be true or tags',
  )
  faults.check(flush === undefined || typeof flush === 'function', 'flush must be a function')
  const { environment = {} } = options
  faults.check(environment === false || isObject(environment), 'environment must be options, or false')
  faults.throwIfAny('OPTION_INVALID', 'createDataAccess')
  faults.check(!(sqlcommenter && isPool(postgres)), 'sqlcommenter is for a pool made here: give yours queryTags')
  if (drainDelay !== undefined) checkDrainDelay(drainDelay, faults)
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

function isRedis(given: RedisClientOptions | AnyRedis): given is AnyRedis {
  return typeof (given as Partial<AnyRedis>).duplicate === 'function'
}
