/**
 * One kind of thing in the cache: its keys, its loader, its ttls. `get` is a straight line to a first-tier hit: no await,
 * no allocation, one reading of the coarse clock.
 */

import { BreakwaterError, isBreakwaterError } from '@breakwater/kernel'
import { encodeEntry } from './entry.js'
import type { BoundGuard } from './guard/guard.js'
import { type CacheKey, encodeKey } from './keys.js'
import { batched } from './load/batch-loader.js'
import { Flight, type Outcome } from './load/flight.js'
import { LoadLease } from './load/load-lease.js'
import { LoadPath, type LoadRequest } from './load/load-path.js'
import { type LoadBounds, runLoad } from './load/run-load.js'
import type { MemoryEntry, MemorySpace } from './memory/memory-tier.js'
import type { Loader, ResolvedPolicy, ResolvedSpaceOptions } from './options.js'
import type { Script } from './redis/client.js'
import { discard, expire, IDENTITY_LENGTH, invalidate, set } from './redis/scripts.js'
import { type Shard, UNCONDITIONAL } from './redis/shards.js'
import { SpaceStats } from './space-stats.js'
import type { SpaceSurroundings } from './surroundings.js'

/** Failures remembered at once; the oldest is forgotten first, and its key may be tried again early. */
const MAX_FAILURES = 1_000

/** Loads one key, bounded; given the value that has turned stale. */
type OneLoad<V, K> = (id: K, stale: V | null | undefined) => Promise<V | null>

export class Space<V, K extends CacheKey = CacheKey> {
  readonly name: string
  readonly stats: SpaceStats = new SpaceStats()
  /** None if the space was declared without one. */
  readonly guard: BoundGuard | undefined

  readonly #around: SpaceSurroundings
  readonly #options: ResolvedSpaceOptions<V, K>
  readonly #memory: MemorySpace<V>
  readonly #flights = new Map<string, Flight<V>>()
  readonly #failures = new Map<string, { readonly error: unknown; readonly until: number }>()
  readonly #path: LoadPath<V>
  readonly #bounds: LoadBounds
  /** How `get` loads; none if the space was declared without a loader. */
  readonly #ownLoad: OneLoad<V, K> | undefined

  constructor(name: string, options: ResolvedSpaceOptions<V, K>, around: SpaceSurroundings) {
    this.name = name
    this.#options = options
    this.#around = around
    this.#memory = around.memory.space<V>()
    const { shards, clock, logger } = around
    this.guard = options.guard?.bind({
      space: name,
      shard: shards?.of(name),
      clock,
      logger,
      settled: around.settled,
      forget: key => this.#invalidate(key),
    })
    const { budget, inFlight, durations } = around
    this.#bounds = {
      space: name,
      stats: this.stats,
      durations,
      clock,
      budget,
      inFlight,
      hardTimeoutMs: options.hardTimeoutMs,
    }
    const { load, loadMany, batchSize } = options
    this.#ownLoad = loadMany ? batched(loadMany, batchSize, this.#bounds, this.stats) : load && this.#single(load)
    this.#path = new LoadPath<V>({
      ...this.#bounds,
      lease: shards && new LoadLease(shards, name, around.wakeChannel, options.leaseMs, options.backoffMs),
      discard: async (key, stored) => {
        const shard = shards?.of(name, key)
        await shard?.redis.run(discard, [shard.layout.value(name, key)], [stored.slice(0, IDENTITY_LENGTH)])
      },
      keep: (key, value, freshMs, staleMs, bodyLength) => this.#keep(key, value, freshMs, staleMs, bodyLength),
      isDraining: () => around.isDraining(),
    })
  }

  /**
   * Returns the value of `id`: from memory, from Redis, past its ttl but within its grace (and refreshed behind), or
   * loaded once for all who ask. `null`: it does not exist.
   *
   * @throws the loader's own error, shared by all who waited for it; BreakwaterError `CACHE_LOAD_TIMEOUT` (kind
   *   timeout) after the hard time-out; `CACHE_MISS_BUDGET` (rejected) when too many loads run at once;
   *   `CACHE_KEY_INVALID`, `CACHE_NO_LOADER` (usage).
   */
  get(id: K): Promise<V | null> {
    let key: string
    try {
      key = encodeKey(id)
    } catch (error) {
      return Promise.reject(error)
    }
    const entry = this.#memory.get(key)
    if (entry !== undefined) {
      const now = this.#around.clock.coarse()
      if (now < entry.freshUntil && now < entry.trust.until) {
        this.stats.memoryHits++
        entry.resolved ??= Promise.resolve(entry.value)
        return entry.resolved
      }
    }
    return this.#past(key, id, entry, this.#ownLoad, this.#options.policy).then(toValue)
  }

  /** Returns the value with where it came from. Rejects as `get` does. */
  async getDetailed(id: K): Promise<Outcome<V>> {
    const key = encodeKey(id)
    const entry = this.#freshEntry(key)
    if (entry === undefined) {
      return this.#past(key, id, this.#memory.get(key), this.#ownLoad, this.#options.policy)
    }
    this.stats.memoryHits++
    return { value: entry.value, source: entry.value === null ? 'absent' : 'memory' }
  }

  /**
   * Returns the values of `ids`, in their order: what is not in memory is read in one round trip, and what is nowhere is
   * loaded by one `loadMany`, if the space has one. Rejects when one of them does.
   */
  getMany(ids: readonly K[]): Promise<(V | null)[]> {
    return Promise.all(ids.map(id => this.get(id)))
  }

  /** Returns the value if this process holds it fresh; `undefined` if it does not. Never asks anyone. */
  peek(id: K): V | null | undefined {
    return this.#freshEntry(encodeKey(id))?.value
  }

  /** Reads `id`, loading it with this call's own loader and policy. Rejects as `get` does. */
  async getOrLoad(id: K, loader: Loader<V, K>, policy: ResolvedPolicy = this.#options.policy): Promise<V | null> {
    const key = encodeKey(id)
    const entry = this.#freshEntry(key)
    if (entry === undefined)
      return this.#past(key, id, this.#memory.get(key), this.#single(loader), policy).then(toValue)
    this.stats.memoryHits++
    return entry.value
  }

  /** Stores a value (null: absent) over any load in flight; resolves when Redis has acknowledged it. Rejects as `delete` does. */
  async set(id: K, value: V | null): Promise<void> {
    const key = encodeKey(id)
    const entry = encodeEntry(value, this.name)
    const { policy } = this.#options
    const ttlMs = value === null ? policy.absentTtlMs : policy.ttlMs
    const graceMs = value === null ? 0 : policy.graceMs
    this.fence(key)
    const shard = this.#around.shards?.of(this.name, key)
    if (shard === undefined) {
      this.#keep(key, value, ttlMs, ttlMs + graceMs, entry.body.length)
      return
    }
    const args = [`${this.name}:${key}`, entry.kind, entry.body, Math.ceil(ttlMs), Math.ceil(graceMs), this.name]
    await shard.redis.run(set, [...this.#invalidationKeys(shard, key), shard.layout.generations()], args)
    this.fence(key)
  }

  /**
   * Removes a key everywhere: in this process before it resolves, in Redis when it resolves, on every other instance
   * within the log's delivery time. A load under way keeps its callers and stores nothing.
   *
   * @throws {BreakwaterError} `REDIS_DOWN` (rejected) or `REDIS_TIMEOUT` (timeout): other instances may still serve the
   *   old value; call it again.
   */
  async delete(id: K): Promise<void> {
    await this.#invalidate(encodeKey(id))
  }

  /** Deletes many keys; see `delete`. Rejects with an AggregateError when some could not be, after trying all. */
  async deleteMany(ids: readonly K[]): Promise<void> {
    const results = await Promise.allSettled(ids.map(id => this.delete(id)))
    const errors = results.flatMap(result => (result.status === 'rejected' ? [result.reason] : []))
    if (errors.length > 0)
      throw new AggregateError(errors, `${errors.length} of ${ids.length} keys could not be deleted`)
  }

  /**
   * Removes all keys of the space, in one step however many there are: here before it resolves, in Redis when it resolves
   * (their memory comes free at the end of their time), elsewhere within the log's delivery time. Rejects as `delete` does.
   */
  async clear(): Promise<void> {
    this.fenceAll()
    await this.#around.beginGeneration(this.name)
    this.fenceAll()
  }

  /**
   * Makes a key's value old but servable: within its grace it is still answered with, while one caller in the fleet
   * refreshes it. Without a grace it is as good as deleted. Resolves and rejects as `delete` does.
   */
  async expire(id: K): Promise<void> {
    const key = encodeKey(id)
    if (this.#around.shards !== undefined) {
      this.fence(key)
      return this.#tellRedis(expire, key)
    }
    this.#fenceFlight(key)
    const entry = this.#memory.get(key)
    if (entry !== undefined) entry.freshUntil = this.#around.clock.now()
  }

  /**
   * Reads `ids` into memory and Redis before they are asked for, `batchSize` at a time. Resolves with how many exist.
   * Rejects as `getMany` does, at the first batch that fails.
   */
  async warm(ids: Iterable<K> | AsyncIterable<K>): Promise<number> {
    let existing = 0
    const read = async (batch: readonly K[]): Promise<void> => {
      for (const value of await this.getMany(batch)) if (value !== null) existing++
    }
    let batch: K[] = []
    for await (const id of ids) {
      batch.push(id)
      if (batch.length < this.#options.batchSize) continue
      await read(batch)
      batch = []
    }
    await read(batch)
    return existing
  }

  /** Forgets a key in this process, and keeps what is under way for it from being kept. */
  fence(key: string): void {
    this.#memory.delete(key)
    this.#fenceFlight(key)
  }

  #fenceFlight(key: string): void {
    this.#failures.delete(key)
    const flight = this.#flights.get(key)
    if (flight === undefined) return
    flight.fenced = true
    this.#flights.delete(key)
    flight.wake()
  }

  /** Forgets all keys. */
  fenceAll(): void {
    this.#memory.clear()
    this.#failures.clear()
    for (const key of this.#flights.keys()) this.#fenceFlight(key)
  }

  /** This instance may have missed what the log of `shard` told: what is under way there is not kept. */
  missed(shard: Shard): void {
    if (this.#around.shards?.of(this.name) === shard) this.guard?.missed()
    for (const key of [...this.#failures.keys(), ...this.#flights.keys()]) {
      if (this.#around.shards?.of(this.name, key) === shard) this.#fenceFlight(key)
    }
  }

  /** The holder of a key's lease is done. */
  wake(key: string): void {
    this.#flights.get(key)?.wake()
  }

  wakeAll(): void {
    for (const flight of this.#flights.values()) flight.wake()
  }

  #freshEntry(key: string): MemoryEntry<V> | undefined {
    const entry = this.#memory.get(key)
    if (entry === undefined) return undefined
    const now = this.#around.clock.coarse()
    return now < entry.freshUntil && now < entry.trust.until ? entry : undefined
  }

  /** The first tier has nothing fresh. */
  #past(
    key: string,
    id: K,
    entry: MemoryEntry<V> | undefined,
    load: OneLoad<V, K> | undefined,
    policy: ResolvedPolicy,
  ): Promise<Outcome<V>> {
    const now = this.#around.clock.now()
    const stale = entry !== undefined && now < entry.staleUntil && now < entry.trust.until ? entry : undefined
    if (stale !== undefined) {
      this.stats.staleHits++
      if (
        !this.#flights.has(key) &&
        this.#failure(key, now) === undefined &&
        !this.#around.isDraining() &&
        load !== undefined
      ) {
        this.#start({ key, load: old => load(id, old), policy, stale: stale.value })
      }
      return Promise.resolve({ value: stale.value, source: 'stale' })
    }
    // Each caller asks the guard for itself: who joined another's question would be told what was true before.
    const verdict = this.guard?.mayContain(key) ?? true
    if (verdict === true) return this.#read(key, id, load, policy)
    if (verdict === false) return Promise.resolve(this.#denied(key, id, load))
    return verdict.then(maybe => (maybe ? this.#read(key, id, load, policy) : this.#denied(key, id, load)))
  }

  #denied(key: string, id: K, load: OneLoad<V, K> | undefined): Outcome<V> {
    this.stats.guarded++
    if (load !== undefined && !this.#around.isDraining()) {
      const audit = this.guard?.denied(key, () => load(id, undefined))
      if (audit !== undefined) this.#around.inFlight.run(audit)
    }
    return { value: null, source: 'absent' }
  }

  /** Neither the first tier nor the guard has an answer. */
  #read(key: string, id: K, load: OneLoad<V, K> | undefined, policy: ResolvedPolicy): Promise<Outcome<V>> {
    const flying = this.#flights.get(key)
    if (flying !== undefined) {
      this.stats.coalesced++
      return flying.outcome
    }
    const failure = this.#failure(key, this.#around.clock.now())
    if (failure !== undefined) return Promise.reject(failure.error)
    if (load === undefined) {
      return Promise.reject(
        new BreakwaterError(
          'usage',
          'CACHE_NO_LOADER',
          `space "${this.name}" was declared without a loader: give it "load" or "loadMany", or use getOrLoad`,
        ),
      )
    }
    const closed = this.#around.closedError()
    if (closed !== undefined) return Promise.reject(closed)
    this.#around.connect()
    return this.#start({ key, load: old => load(id, old), policy, stale: undefined }).outcome
  }

  #single(loader: Loader<V, K>): OneLoad<V, K> {
    return (id, stale) =>
      runLoad(this.#bounds, async signal => {
        this.stats.loads++
        return loader(id, { signal, stale })
      })
  }

  // One tick from the look into the map to here: no await, or two callers would both start.
  #start(request: LoadRequest<V>): Flight<V> {
    const { clock, inFlight } = this.#around
    const flight = new Flight<V>(clock, this.#options.hardTimeoutMs, `space "${this.name}"`)
    this.#flights.set(request.key, flight)
    inFlight.run(this.#fly(flight, request))
    return flight
  }

  async #fly(flight: Flight<V>, request: LoadRequest<V>): Promise<void> {
    try {
      await this.#path.run(flight, request)
    } catch (error) {
      if (!flight.fenced) this.#rememberFailure(request.key, error)
      flight.fail(error)
    } finally {
      // Only its own entry: after an invalidation the map may hold a younger flight.
      if (this.#flights.get(request.key) === flight) this.#flights.delete(request.key)
    }
  }

  #keep(key: string, value: V | null, freshMs: number, staleMs: number, bodyLength: number): void {
    const now = this.#around.clock.now()
    const trust = this.#around.shards?.of(this.name, key).trust ?? UNCONDITIONAL
    this.#memory.set(
      key,
      { value, freshUntil: now + freshMs, staleUntil: now + staleMs, trust, resolved: undefined },
      bodyLength,
    )
  }

  #failure(key: string, now: number): { readonly error: unknown } | undefined {
    const failure = this.#failures.get(key)
    if (failure === undefined) return undefined
    if (now < failure.until) return failure
    this.#failures.delete(key)
    return undefined
  }

  #rememberFailure(key: string, error: unknown): void {
    if (this.#options.backoffMs === 0) return
    // A refusal of ours says nothing about the key.
    if (isBreakwaterError(error) && error.kind === 'rejected') return
    this.#failures.delete(key)
    this.#failures.set(key, { error, until: this.#around.clock.now() + this.#options.backoffMs })
    if (this.#failures.size > MAX_FAILURES) {
      for (const oldest of this.#failures.keys()) {
        this.#failures.delete(oldest)
        break
      }
    }
  }

  async #invalidate(key: string): Promise<void> {
    this.fence(key)
    await this.#tellRedis(invalidate, key)
  }

  async #tellRedis(script: Script, key: string): Promise<void> {
    const shard = this.#around.shards?.of(this.name, key)
    if (shard === undefined) return
    await shard.redis.run(script, this.#invalidationKeys(shard, key), [`${this.name}:${key}`])
    // A read that began in between may have taken the old value from Redis.
    this.fence(key)
  }

  #invalidationKeys({ layout }: Shard, key: string): string[] {
    return [
      layout.value(this.name, key),
      layout.lease(this.name, key),
      layout.waiters(this.name, key),
      layout.log(),
      layout.logSequence(),
    ]
  }
}

function toValue<V>(outcome: Outcome<V>): V | null {
  return outcome.value
}
