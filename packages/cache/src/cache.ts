/** A cache: its spaces, its two tiers, and its life from the first call to `dispose`. */

import { randomBytes } from 'node:crypto'
import { BreakwaterError, Deadline, type Duration, Events, type Managed, parseDuration } from '@breakwater/kernel'
import type { GuardStats } from './guard/guard.js'
import { type CacheKey, wakeChannel } from './keys.js'
import { InFlight } from './load/in-flight.js'
import type { CacheDuration } from './load/load-log.js'
import { MissBudget } from './load/miss-budget.js'
import { MemoryTier } from './memory/memory-tier.js'
import {
  type CacheOptions,
  type CachePolicy,
  type Loader,
  type ResolvedCacheOptions,
  resolveCacheOptions,
  resolvePolicy,
  resolveSpaceOptions,
  type SpaceOptions,
} from './options.js'
import { connectToAny } from './redis/connections.js'
import { InvalidationLog } from './redis/invalidation-log.js'
import { clear, GENERATION_LENGTH } from './redis/scripts.js'
import { type Shard, Shards } from './redis/shards.js'
import { WakeChannel } from './redis/wake-channel.js'
import { Space } from './space.js'
import type { SpaceReading } from './space-stats.js'
import type { SpaceSurroundings } from './surroundings.js'

/** How the log tells of a clear; no space's name is empty, so no key's message begins like this. */
const CLEARED = ':'
/** How the log tells of a guard's add: `+<space>:<sequence>:<key>`. */
const ADDED = '+'
/** The space of `cache.getOrLoad`. */
const COMMON_SPACE = '_'

export interface CacheStats {
  /** By space. */
  readonly spaces: Readonly<Record<string, SpaceReading>>
  /** By space, of those that have one. */
  readonly guards: Readonly<Record<string, GuardStats>>
  readonly memory: { readonly bytes: number; readonly entries: number; readonly evictions: number }
  readonly loads: { readonly inFlight: number; readonly pending: number; readonly budget: number }
  readonly redis:
    | {
        /** Operations that failed, hung or were not tried. */
        readonly failures: number
        /** Whether the invalidation log is heard, on a Cluster that of every shard, so that the first tier may be believed. */
        readonly following: boolean
        /** Open: Redis did not answer, on a Cluster one of its shards, and is not asked for a while. */
        readonly breaker: 'closed' | 'open' | 'half-open'
        /** Entries of the log taken, this instance's own included. */
        readonly invalidations: number
        /** Times that the first tier was emptied, since an invalidation may have been missed. */
        readonly gaps: number
      }
    | undefined
}

export interface LifeOptions {
  readonly signal?: AbortSignal
  /** The instant by which it must be over, or how long it may take. Default for `drain` and `dispose`: 5 s. */
  readonly deadline?: Deadline | Duration
}

export class Cache implements Managed {
  readonly name: string = 'cache'
  readonly #options: ResolvedCacheOptions
  readonly #spaces = new Map<string, Space<unknown, never>>()
  readonly #around: SpaceSurroundings
  readonly #inFlight = new InFlight()
  readonly #durations = new Events<CacheDuration>()
  /** By shard. */
  readonly #logs: readonly InvalidationLog[]
  #wakeChannel: WakeChannel | undefined
  #state: 'open' | 'draining' | 'disposed' = 'open'
  #disposing: Promise<void> | undefined

  /** @throws {BreakwaterError} kind `usage`, code `CACHE_OPTIONS_INVALID`, naming every fault. */
  constructor(options: CacheOptions = {}) {
    this.#options = resolveCacheOptions(options)
    const { clock, redis: raw, redisTimeoutMs, maxLagMs, namespace } = this.#options
    const shards = raw && new Shards(raw, namespace, clock, redisTimeoutMs)
    this.#logs = (shards?.all ?? []).map(
      shard =>
        new InvalidationLog(shard, clock, maxLagMs, {
          onInvalidated: message => this.#onInvalidated(message),
          onGap: () => this.#onGap(shard),
        }),
    )
    this.#around = {
      clock,
      logger: this.#options.logger,
      shards,
      memory: new MemoryTier(this.#options.memoryBytes),
      budget: new MissBudget(this.#options.missBudget),
      inFlight: this.#inFlight,
      durations: this.#durations,
      wakeChannel: wakeChannel(namespace, randomBytes(9).toString('base64url')),
      settled: this.#options.settled,
      connect: () => this.#connect(),
      beginGeneration: of => this.#beginGeneration(of),
      isDraining: () => this.#state !== 'open',
      closedError: () => (this.#state === 'disposed' ? disposedError() : undefined),
    }
  }

  /**
   * Declares a space. Its keys lie apart from every other space's.
   *
   * @throws {BreakwaterError} kind `usage`, code `CACHE_OPTIONS_INVALID`, also for a name that is taken.
   */
  space<V, K extends CacheKey = CacheKey>(name: string, options: SpaceOptions<V, K>): Space<V, K> {
    const resolved = resolveSpaceOptions(name, options)
    if (this.#spaces.has(name)) {
      throw new BreakwaterError(
        'usage',
        'CACHE_OPTIONS_INVALID',
        `space "${name}" is declared already: keep the space, or take another name`,
      )
    }
    const space = new Space<V, K>(name, resolved, this.#around)
    this.#spaces.set(name, space as unknown as Space<unknown, never>)
    return space
  }

  /** Reads `key` in a space common to all such calls, loading it with this call's loader. Rejects as `space.get` does. */
  async getOrLoad<V>(key: CacheKey, loader: Loader<V>, options: CachePolicy): Promise<V | null> {
    const policy = resolvePolicy(options)
    const common = (this.#spaces.get(COMMON_SPACE) ?? this.space(COMMON_SPACE, { ttl: '1m' })) as unknown as Space<V>
    return common.getOrLoad(key, loader, policy)
  }

  /** Removes everything, in every space, also those that only other instances have; see `space.clear`. */
  async clear(): Promise<void> {
    this.#fenceAll()
    await this.#beginGeneration('*')
    this.#fenceAll()
  }

  /**
   * Resolves when the invalidation log is followed. Not needed: a cache works from its first call, at first past its
   * first tier.
   *
   * @throws {BreakwaterError} kind `timeout`, code `CACHE_INIT_TIMEOUT`: the cache works on without Redis, and goes on trying.
   */
  async init(options: LifeOptions = {}): Promise<void> {
    const deadline = this.#deadline(options.deadline)
    if (this.#logs.length === 0) return
    this.#connect()
    await deadline.race(
      Promise.all(this.#logs.map(log => log.following())),
      () =>
        new BreakwaterError(
          'timeout',
          'CACHE_INIT_TIMEOUT',
          `the invalidation log could not be followed within ${Math.round(deadline.elapsedMs)} ms (client status "${this.#options.redis?.status}"); the cache works without Redis meanwhile`,
          { elapsedMs: deadline.elapsedMs },
        ),
      options.signal,
    )
  }

  /** Fills or fetches the guards of all spaces declared so far; until then everything may exist. */
  async initGuards(options: LifeOptions = {}): Promise<void> {
    const signal = options.signal ?? new AbortController().signal
    this.#connect()
    const guards = [...this.#spaces.values()].flatMap(space => space.guard ?? [])
    const results = await Promise.allSettled(guards.map(guard => guard.init(signal)))
    const errors = results.flatMap(result => (result.status === 'rejected' ? [result.reason] : []))
    if (errors.length === 1) throw errors[0]
    if (errors.length > 1) throw new AggregateError(errors, `${errors.length} guards could not be filled`)
  }

  /** From now on starts no refresh: what is stale and servable is served, as it will be refreshed by another instance. */
  startDraining(): void {
    if (this.#state === 'open') this.#state = 'draining'
  }

  /** Starts no refresh any more and resolves when the loads under way are over, or at the deadline. */
  async drain(options: LifeOptions = {}): Promise<void> {
    this.startDraining()
    const deadline = this.#deadline(options.deadline)
    await deadline.race(
      this.#inFlight.idle(),
      () =>
        new BreakwaterError(
          'timeout',
          'CACHE_DRAIN_TIMEOUT',
          `${this.#inFlight.count} loads were still under way after ${Math.round(deadline.elapsedMs)} ms`,
          { elapsedMs: deadline.elapsedMs },
        ),
      options.signal,
    )
  }

  /**
   * Drains until the deadline, then aborts what is left: its callers are rejected and its leases released, so that another
   * instance takes over at once. Closes the cache's own two connections; the client that was handed in stays open.
   */
  dispose(options: LifeOptions = {}): Promise<void> {
    this.#disposing ??= this.#dispose(options)
    return this.#disposing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }

  /**
   * Calls `listener` with the duration of each load, until the returned function is called: for those who keep histograms
   * of their own. `stats()` has them all and costs nothing.
   */
  observeDurations(listener: (duration: CacheDuration) => void): () => void {
    return this.#durations.subscribe(listener)
  }

  stats(): CacheStats {
    const { memory, budget } = this.#around
    return {
      spaces: Object.fromEntries([...this.#spaces].map(([name, space]) => [name, space.stats.read()])),
      guards: Object.fromEntries(
        [...this.#spaces].flatMap(([name, { guard }]) => (guard === undefined ? [] : [[name, guard.stats]])),
      ),
      memory: { bytes: memory.bytes, entries: memory.entryCount, evictions: memory.evictions },
      loads: { inFlight: this.#inFlight.count, pending: budget.pending, budget: budget.size },
      redis: this.#redisStats(),
    }
  }

  #redisStats(): CacheStats['redis'] {
    const clients = this.#around.shards?.all.map(shard => shard.redis)
    if (clients === undefined) return undefined
    const breakers = clients.map(client => client.breaker)
    return {
      failures: sum(clients.map(client => client.failures)),
      following: this.#logs.every(log => log.isFollowing),
      breaker: (['open', 'half-open'] as const).find(state => breakers.includes(state)) ?? 'closed',
      invalidations: sum(this.#logs.map(log => log.invalidations)),
      gaps: sum(this.#logs.map(log => log.gaps)),
    }
  }

  async #dispose(options: LifeOptions): Promise<void> {
    try {
      await this.drain(options)
    } catch {
      // What is left is rejected below, each with an error of its own.
    }
    this.#state = 'disposed'
    this.#inFlight.abort(disposedError())
    for (const space of this.#spaces.values()) space.wakeAll()
    // The aborted loads release their leases, each within the bound of one Redis operation.
    await this.#inFlight.idle()
    await Promise.all([...this.#spaces.values()].map(space => space.guard?.dispose()))
    for (const log of this.#logs) log.dispose()
    this.#wakeChannel?.dispose()
    for (const { redis } of this.#around.shards?.all ?? []) redis.dispose()
  }

  /** Opens the cache's own connections, at its first read past the first tier or at `init`. */
  #connect(): void {
    const { redis } = this.#options
    if (redis === undefined || this.#wakeChannel !== undefined || this.#state === 'disposed') return
    for (const log of this.#logs) log.start()
    const { wakeChannel, clock } = this.#around
    this.#wakeChannel = new WakeChannel(
      () => connectToAny(redis),
      wakeChannel,
      clock,
      message => this.#dispatch(message, (space, key) => space.wake(key)),
    )
  }

  #deadline(given: Deadline | Duration | undefined): Deadline {
    if (given instanceof Deadline) return given
    const ms = parseDuration(given ?? 5_000)
    if (ms === undefined) {
      throw new BreakwaterError(
        'usage',
        'CACHE_OPTIONS_INVALID',
        `deadline must be a duration, as ms or '30s', not ${String(given)}`,
      )
    }
    return new Deadline(this.#options.clock, ms)
  }

  async #beginGeneration(of: string): Promise<void> {
    const generation = randomBytes(6).toString('base64url').slice(0, GENERATION_LENGTH)
    const args = [`${CLEARED}${of}`, of, generation]
    await Promise.all(
      (this.#around.shards?.all ?? []).map(({ redis, layout }) =>
        redis.run(clear, [layout.generations(), layout.log(), layout.logSequence()], args),
      ),
    )
  }

  #onInvalidated(message: string): void {
    if (message.startsWith(ADDED)) this.#onAdded(message.slice(ADDED.length))
    else if (!message.startsWith(CLEARED)) this.#dispatch(message, (space, key) => space.fence(key))
    else if (message === `${CLEARED}*`) this.#fenceAll()
    else this.#spaces.get(message.slice(CLEARED.length))?.fenceAll()
  }

  #onAdded(message: string): void {
    this.#dispatch(message, (space, added) => {
      const colon = added.indexOf(':')
      space.guard?.hear(Number(added.slice(0, colon)), added.slice(colon + 1))
    })
  }

  #onGap(shard: Shard): void {
    for (const space of this.#spaces.values()) space.missed(shard)
  }

  #fenceAll(): void {
    for (const space of this.#spaces.values()) space.fenceAll()
  }

  #dispatch(message: string, act: (space: Space<unknown, never>, key: string) => void): void {
    const colon = message.indexOf(':')
    const space = this.#spaces.get(message.slice(0, colon))
    if (space !== undefined) act(space, message.slice(colon + 1))
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}

function disposedError(): BreakwaterError {
  return new BreakwaterError('rejected', 'CACHE_DISPOSED', 'the cache has been disposed of', { retryable: false })
}
