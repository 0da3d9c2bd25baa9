/** A cache: its spaces, its two tiers, and its life from the first call to `dispose`. */

import { randomBytes } from 'node:crypto'
import { BreakwaterError, Deadline, type Duration, Events, type Managed, parseDuration } from '@breakwater/kernel'
import { type CacheStats, redisReading } from './cache-stats.js'
import { type CacheKey, wakeChannel } from './keys.js'
import { InFlight } from './load/in-flight.js'
import type { CacheDuration } from './load/load-log.js'
import { MissBudget } from './load/miss-budget.js'
import { MemoryTier } from './memory/memory-tier.js'
import type { CacheOptions, CachePolicy, Loader, ReadOptions, SpaceOptions } from './options.js'
import type { Acknowledgement } from './redis/client.js'
import { connectToAny } from './redis/connections.js'
import { ANCILLARY, InvalidationLog } from './redis/invalidation-log.js'
import type { Script } from './redis/script.js'
import { clear, deleteTag, fill, getOrLease, invalidate } from './redis/scripts.js'
import { type Shard, Shards } from './redis/shards.js'
import { WakeChannel } from './redis/wake-channel.js'
import { type ResolvedCacheOptions, resolveCacheOptions, resolveSpaceOptions } from './resolve-options.js'
import { Space } from './space.js'
import type { SpaceSurroundings } from './surroundings.js'
import { encodeTag } from './tags/tag.js'
import { TagClock } from './tags/tag-clock.js'
import { type WrapOptions, type Wrapped, wrapped } from './wrap.js'

/** The space of `cache.getOrLoad`. */
const COMMON_SPACE = '_'

export interface LifeOptions {
  readonly signal?: AbortSignal
  /** The instant by which it must be over, or how long it may take. Default for `drain` and `dispose`: 5 s. */
  readonly deadline?: Deadline | Duration
  /** Calls `fn`, a part of the start, and settles as it does: for whoever draws or times it. Default: no more than that. */
  readonly step?: <T>(name: string, fn: () => T) => Promise<Awaited<T>>
}

const JUST_CALL = async <T>(_: string, fn: () => T): Promise<Awaited<T>> => await fn()

/** Sent in full at the start, so that the first that is needed is known to the server already. */
const AT_START = [getOrLease, fill, invalidate]

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
    const { clock, redis: raw, redisTimeoutMs: timeoutMs, maxLagMs, namespace, outboxSize, replicas } = this.#options
    const shards = raw && new Shards(raw, namespace, { clock, timeoutMs, outboxSize, replicas })
    this.#logs = (shards?.all ?? []).map(
      shard =>
        new InvalidationLog(shard, clock, maxLagMs, {
          onEntry: (kind, subject) => this.#onEntry(shard, kind, subject),
          onBegin: () => {
            for (const space of this.#spaces.values()) space.fenceShard(shard)
          },
          onGap: () => {
            for (const space of this.#spaces.values()) space.missed(shard)
          },
        }),
    )
    this.#around = {
      clock,
      random: this.#options.random,
      logger: this.#options.logger,
      shards,
      memory: new MemoryTier(this.#options.memoryBytes),
      budget: new MissBudget(this.#options.missBudget),
      inFlight: this.#inFlight,
      durations: this.#durations,
      tags: new TagClock(),
      maxLagMs,
      wakeChannel: wakeChannel(namespace, randomBytes(9).toString('base64url')),
      settled: this.#options.settled,
      connect: () => this.#connect(),
      clear: space => this.#clear(space),
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
  getOrLoad<V>(key: CacheKey, loader: Loader<V>, policy: CachePolicy<V>, options?: ReadOptions): Promise<V | null> {
    const common = (this.#spaces.get(COMMON_SPACE) ?? this.space(COMMON_SPACE, { ttl: '1m' })) as unknown as Space<V>
    return common.getOrLoad(key, loader, policy, options)
  }

  /**
   * Returns `fn` with its results kept: in a space of its own, by its arguments. A result of `null` is kept as absent.
   *
   * @throws {BreakwaterError} kind `usage`, code `CACHE_OPTIONS_INVALID`.
   */
  wrap<A extends readonly unknown[], V>(
    fn: (...args: A) => Promise<V | null> | V | null,
    options: WrapOptions<A, V>,
  ): Wrapped<A, V> {
    return wrapped(this, fn, options)
  }

  /**
   * Removes all values under a tag, in every space, in one step however many there are. Also what is being loaded and turns
   * out to be under it. Resolves and rejects as `space.delete` does.
   *
   * @throws {BreakwaterError} kind `usage`, code `CACHE_TAG_INVALID`.
   */
  async deleteByTag(tag: string): Promise<Acknowledgement> {
    const { tags } = this.#around
    const encoded = encodeTag(tag)
    tags.delete(encoded)
    const acknowledged = await this.#announce(':tags', deleteTag, encoded, '*')
    // A read that began in between may have taken an old value from Redis.
    tags.delete(encoded)
    return acknowledged
  }

  /** Removes everything, in every space, also those that only other instances have; see `space.clear`. */
  clear(): Promise<Acknowledgement> {
    return this.#clear('*')
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
    const { step = JUST_CALL } = options
    const clients = this.#around.shards?.all.map(({ redis }) => redis) ?? []
    await deadline.race(
      Promise.all([
        step('invalidation log', () => Promise.all(this.#logs.map(log => log.following()))),
        // Then the first read need not look at the server. What can't be done now is done by then.
        step('server', () => Promise.all(clients.map(redis => redis.catchUp().catch(() => {})))),
        step('scripts', () => Promise.all(clients.map(redis => redis.load(AT_START).catch(() => {})))),
      ]),
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
    const { step = JUST_CALL } = options
    const guards = [...this.#spaces].flatMap(([name, { guard }]) => (guard ? [{ name, guard }] : []))
    const results = await Promise.allSettled(guards.map(({ name, guard }) => step(name, () => guard.init(signal))))
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
      redis: redisReading(this.#around.shards, this.#logs),
    }
  }

  async #dispose(options: LifeOptions): Promise<void> {
    try {
      await this.drain(options)
    } catch {
      // What is left is rejected below, each with an error of its own.
    }
    // What Redis has yet to be told is lost with this process: one last try.
    const untold = this.#around.shards?.all.filter(({ redis }) => !redis.outbox.isEmpty) ?? []
    await Promise.all(untold.map(({ redis }) => redis.catchUp().catch(() => {})))
    this.#state = 'disposed'
    this.#inFlight.abort(disposedError())
    for (const space of this.#spaces.values()) space.wakeAll()
    // The aborted loads release their leases, each within the bound of one Redis operation.
    await this.#inFlight.idle()
    await Promise.all([...this.#spaces.values()].map(space => space.guard?.dispose()))
    for (const log of this.#logs) log.dispose()
    this.#wakeChannel?.dispose()
    this.#around.shards?.dispose()
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

  async #clear(of: string): Promise<Acknowledgement> {
    this.#fence(of)
    const acknowledged = await this.#announce(of, clear, of, of)
    this.#fence(of)
    return acknowledged
  }

  /** Tells every shard, or keeps what one cannot be told; with too much of that, the whole of `instead` is cleared. */
  async #announce(group: string, script: Script, subject: string, instead: string): Promise<Acknowledgement> {
    const acknowledged = await Promise.all(
      (this.#around.shards?.all ?? []).map(({ redis, layout }) =>
        redis.announce({
          group,
          about: subject,
          tell: () => redis.tell(script, layout.control(), [subject]),
          insteadOfAll: () => redis.tell(clear, layout.control(), [instead]),
        }),
      ),
    )
    return acknowledged.includes('queued') ? 'queued' : 'applied'
  }

  #onEntry(shard: Shard, kind: string, subject: string): void {
    switch (kind) {
      case 'key':
        this.#dispatch(subject, (space, key) => space.fence(key))
        break
      case 'tag':
        this.#around.tags.delete(subject)
        break
      case 'clear':
        this.#fence(subject)
        break
      case 'server':
        for (const space of this.#spaces.values()) space.doubt(shard)
        break
      case 'guard?':
        this.#dispatch(subject, (space, added) => {
          const colon = added.indexOf(':')
          space.guard?.hear(Number(added.slice(0, colon)), added.slice(colon + 1))
        })
        break
      default:
        // From a later version: whatever it takes may be held here.
        if (!kind.endsWith(ANCILLARY)) this.#fence('*')
    }
  }

  #fence(of: string): void {
    if (of !== '*') this.#spaces.get(of)?.fenceAll()
    else for (const space of this.#spaces.values()) space.fenceAll()
  }

  #dispatch(message: string, act: (space: Space<unknown, never>, key: string) => void): void {
    const colon = message.indexOf(':')
    const space = this.#spaces.get(message.slice(0, colon))
    if (space !== undefined) act(space, message.slice(colon + 1))
  }
}

function disposedError(): BreakwaterError {
  return new BreakwaterError('rejected', 'CACHE_DISPOSED', 'the cache has been disposed of', { retryable: false })
}
