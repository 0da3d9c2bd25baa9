/**
 * One kind of thing in the cache: its keys, its loader, its ttls. `get` is a straight line to a first-tier hit: no await,
 * no allocation, one reading of the coarse clock.
 */

import { BreakwaterError } from '@breakwater/kernel'
import { Codec } from './codec/codec.js'
import type { BoundGuard } from './guard/guard.js'
import { Passed } from './guard/passed.js'
import { type CacheKey, encodeKey, GUARD_WAKE } from './keys.js'
import { batched } from './load/batch-loader.js'
import { FirstLook } from './load/first-look.js'
import type { Outcome, Passage } from './load/flight.js'
import { Flights } from './load/flights.js'
import { LoadLease } from './load/load-lease.js'
import { LoadPath, type LoadRequest, type Missed } from './load/load-path.js'
import { ManyReads } from './load/many-reads.js'
import { type LoadBounds, nobody } from './load/run-load.js'
import { singly } from './load/single-loader.js'
import { FirstTier, type Kept } from './memory/first-tier.js'
import type { MemoryEntry } from './memory/memory-tier.js'
import type { CachePolicy, Loader, ReadOptions, WriteOptions } from './options.js'
import type { Acknowledgement } from './redis/client.js'
import { type Shard, type Trust, UNCONDITIONAL } from './redis/shards.js'
import { type ResolvedPolicy, type ResolvedSpaceOptions, resolvePolicy, resolveWrite } from './resolve-options.js'
import { SpaceStats } from './space-stats.js'
import type { SpaceSurroundings } from './surroundings.js'
import { Writes } from './writes.js'

type Load<V, K extends CacheKey> = LoadRequest<V, K>['load']

export class Space<V, K extends CacheKey = CacheKey> {
  readonly name: string
  readonly stats: SpaceStats = new SpaceStats()
  /** None if the space was declared without one. */
  readonly guard: BoundGuard | undefined

  readonly #around: SpaceSurroundings
  readonly #options: ResolvedSpaceOptions<V, K>
  readonly #bounds: LoadBounds
  readonly #firstTier: FirstTier<V>
  readonly #passed = new Passed()
  readonly #flights: Flights<V, K>
  readonly #many: ManyReads<V, K>
  readonly #writes: Writes<V>
  /** How `get` loads; none if the space was declared without a loader. */
  readonly #ownLoad: ((id: K) => Load<V, K>) | undefined

  constructor(name: string, options: ResolvedSpaceOptions<V, K>, around: SpaceSurroundings) {
    this.name = name
    this.#options = options
    this.#around = around
    const { shards, clock, random, logger, budget, inFlight, durations, tags, maxLagMs, settled, wakeChannel } = around
    const { load, loadMany, batchSize, hardTimeoutMs, backoffMs } = options
    this.guard = options.guard?.bind({
      space: name,
      shard: shards?.of(name),
      clock,
      random,
      logger,
      settled,
      wakeChannel,
      forget: key => this.#forget(key),
    })
    this.#bounds = { space: name, stats: this.stats, durations, clock, budget, inFlight, hardTimeoutMs }
    const trustOf = (key: string): Trust => shards?.of(name, key).trust ?? UNCONDITIONAL
    this.#firstTier = new FirstTier({ clock, random, memory: around.memory.space<V>(), tags, trustOf, maxLagMs })
    const codec = new Codec<V>(name, options.codec)
    const path = new LoadPath<V, K>({
      ...this.#bounds,
      random,
      lease: shards && new LoadLease(shards, name, around.wakeChannel, options.leaseMs, backoffMs),
      firstLook: shards?.readsMasters ? new FirstLook(shards, name, !codec.readsText) : undefined,
      lookMs: shards?.all[0]?.redis.readMs ?? 0,
      codec,
      keep: (passage, key, kept) => this.#keepRead(passage, key, kept),
      isDraining: () => around.isDraining(),
    })
    const tick = (): number => tags.tick
    const { policy } = options
    this.#many = new ManyReads<V, K>({
      ...{ clock, inFlight, path, policy, tick },
      held: key => this.#straight(key),
      isNowhere: key =>
        this.guard === undefined && this.#firstTier.find(key) === undefined && this.#flights.knowsNothingOf(key),
      one: (id, readOptions) => this.get(id, readOptions),
      begin: () => {
        const refusal = this.#refusal(this.#ownLoad)
        if (refusal !== undefined) throw refusal
        around.connect()
      },
      goOn: (key, id, why) => this.#read(key, id, this.#ownLoad?.(id), policy, undefined, undefined, why).then(toValue),
    })
    const parts = { space: name, clock, inFlight, path, many: this.#many, hardTimeoutMs, backoffMs, tick }
    this.#flights = new Flights<V, K>(parts)
    this.#writes = new Writes<V>({
      space: name,
      shards,
      codec,
      fence: key => this.fence(key),
      expireHere: key => {
        this.#flights.fence(key)
        this.#firstTier.expire(key)
      },
      keepHere: (key, kept) => this.#firstTier.keep(key, kept, tags.tick, clock.now()),
    })
    if (loadMany !== undefined) {
      const one = batched(loadMany, batchSize, this.#bounds, this.stats)
      this.#ownLoad = id => owner => one(id, owner)
    } else if (load !== undefined) {
      this.#ownLoad = id => singly(load, id, this.#bounds, this.stats)
    }
  }

  /**
   * Returns the value of `id`: from memory, from Redis, past its ttl but within its grace (and refreshed behind), or
   * loaded once for all who ask. `null`: it does not exist.
   *
   * @throws the loader's own error, shared by all who waited for it; BreakwaterError `CACHE_LOAD_TIMEOUT` (kind
   *   timeout) after the hard time-out; `CACHE_MISS_BUDGET` (rejected) when too many loads run at once;
   *   `CACHE_KEY_INVALID`, `CACHE_NO_LOADER` (usage).
   */
  get(id: K, options?: ReadOptions): Promise<V | null> {
    let key: string
    try {
      key = encodeKey(id)
    } catch (error) {
      return Promise.reject(error)
    }
    const entry = this.#firstTier.straight(key)
    if (entry !== undefined) {
      this.stats.memoryHits++
      entry.resolved ??= Promise.resolve(entry.value)
      return entry.resolved
    }
    return this.#past(key, id, this.#ownLoad?.(id), this.#options.policy, options?.signal).then(toValue)
  }

  /** Returns the value with where it came from and how old it is. Rejects as `get` does. */
  async getDetailed(id: K, options?: ReadOptions): Promise<Outcome<V>> {
    return this.#past(encodeKey(id), id, this.#ownLoad?.(id), this.#options.policy, options?.signal)
  }

  /**
   * Returns the values of `ids`, in their order: what is not in memory is read in one round trip, and what is nowhere is
   * loaded by one `loadMany`, if the space has one. Rejects when one of them does.
   */
  getMany(ids: readonly K[], options?: ReadOptions): Promise<(V | null)[]> {
    return this.#many.get(ids, options)
  }

  /** Returns the value if this process holds it fresh; `undefined` if it does not. Never asks anyone. */
  peek(id: K): V | null | undefined {
    const key = encodeKey(id)
    const straight = this.#firstTier.straight(key)
    if (straight !== undefined) return straight.value
    const entry = this.#firstTier.find(key)
    return entry !== undefined && this.#firstTier.isFresh(entry) ? entry.value : undefined
  }

  /** Reads `id`, loading it with this call's own loader and policy, the space's own by default. Rejects as `get` does. */
  async getOrLoad(id: K, loader: Loader<V, K>, policy?: CachePolicy<V, K>, options?: ReadOptions): Promise<V | null> {
    const key = encodeKey(id)
    const entry = this.#straight(key)
    if (entry !== undefined) return entry.value
    const resolved = policy === undefined ? this.#options.policy : resolvePolicy(policy)
    return (await this.#past(key, id, singly(loader, id, this.#bounds, this.stats), resolved, options?.signal)).value
  }

  /**
   * Stores a value (null: absent) over any load in flight; resolves when Redis has acknowledged it. While Redis cannot be
   * told, the value is not kept anywhere, and the key is deleted; resolves and rejects as `delete` does.
   */
  async set(id: K, value: V | null, options?: WriteOptions): Promise<Acknowledgement> {
    const { policy } = this.#options
    const { ttlMs, tags } = resolveWrite(options, id, value, policy)
    const graceMs = value === null ? 0 : policy.graceMs
    return this.#writes.set(encodeKey(id), { value, ttlMs, graceMs, tags, ahead: policy.ahead })
  }

  /**
   * Removes a key everywhere. Here before it resolves; with `'applied'` in Redis too, and on every other instance within
   * the log's delivery time. With `'queued'` Redis could not be told: this instance reads nothing from Redis before that
   * has been made good, and others may serve the old value until then. A load under way keeps its callers and stores
   * nothing.
   *
   * @throws what Redis answers to a mistake (NOPERM); BreakwaterError `REDIS_NOT_REPLICATED` (timeout): applied, and not
   *   yet on as many replicas as asked for. With `outbox: false`, in the place of `'queued'`: `REDIS_DOWN`,
   *   `REDIS_BREAKER_OPEN` (rejected), `REDIS_TIMEOUT` (timeout).
   */
  async delete(id: K): Promise<Acknowledgement> {
    return this.#writes.delete(encodeKey(id))
  }

  /** Deletes many keys; see `delete`. Rejects with an AggregateError when some could not be, after trying all. */
  async deleteMany(ids: readonly K[]): Promise<Acknowledgement> {
    const results = await Promise.allSettled(ids.map(id => this.delete(id)))
    const errors = results.flatMap(result => (result.status === 'rejected' ? [result.reason] : []))
    if (errors.length > 0)
      throw new AggregateError(errors, `${errors.length} of ${ids.length} keys could not be deleted`)
    return results.some(result => result.status === 'fulfilled' && result.value === 'queued') ? 'queued' : 'applied'
  }

  /**
   * Removes all keys of the space, in one step however many there are: here before it resolves, in Redis when it resolves
   * (their memory comes free at the end of their time), elsewhere within the log's delivery time. Resolves and rejects as
   * `delete` does.
   */
  clear(): Promise<Acknowledgement> {
    return this.#around.clear(this.name)
  }

  /**
   * Makes a key's value old but servable: within its grace it is still answered with, while one caller in the fleet
   * refreshes it. Without a grace it is as good as deleted. Resolves and rejects as `delete` does.
   */
  async expire(id: K): Promise<Acknowledgement> {
    return this.#writes.expire(encodeKey(id))
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
    this.#firstTier.delete(key)
    this.#flights.fence(key)
  }

  /** Forgets all keys, for an instance that may have missed an invalidation. */
  fenceAll(): void {
    this.#firstTier.clear()
    this.#flights.fenceWhere(() => true)
  }

  /** Keeps what is under way of `shard` from being kept. */
  fenceShard(shard: Shard): void {
    this.#flights.fenceWhere(key => this.#around.shards?.of(this.name, key) === shard)
  }

  /** This instance may have missed what the log of `shard` told. */
  missed(shard: Shard): void {
    if (this.#around.shards?.of(this.name) === shard) this.guard?.missed()
    this.fenceShard(shard)
  }

  /** The server of `shard` is another one, and may have lost an invalidation: what it gave is old, and servable. */
  doubt(shard: Shard): void {
    this.#firstTier.expire(shard.trust)
    this.fenceShard(shard)
  }

  /** The holder of a key's lease is done; or other instances have heard of what this one waits for. */
  wake(key: string): void {
    if (key.startsWith(GUARD_WAKE)) this.guard?.heardElsewhere(key.slice(GUARD_WAKE.length))
    else this.#flights.wake(key)
  }

  wakeAll(): void {
    this.#flights.wakeAll()
  }

  /** What is not answered straight: an early refresh, a stale value, a flight to join or to start. */
  #past(
    key: string,
    id: K,
    load: Load<V, K> | undefined,
    policy: ResolvedPolicy<V, K>,
    signal: AbortSignal | undefined,
  ): Promise<Outcome<V>> {
    const entry = this.#firstTier.find(key)
    const fresh = entry !== undefined && this.#firstTier.isFresh(entry)
    if (fresh) {
      this.stats.memoryHits++
      const aheadMs = this.#firstTier.drawAhead(entry, policy.ahead)
      if (aheadMs > 0) this.#refresh(key, id, load, policy, entry, aheadMs)
      return Promise.resolve(this.#held(entry, entry.value === null ? 'absent' : 'memory'))
    }
    const failure = this.#flights.failures.get(key)
    if (entry !== undefined && (policy.softTimeoutMs === 0 || failure !== undefined || this.#around.isDraining())) {
      this.stats.staleHits++
      this.#refresh(key, id, load, policy, entry, 0)
      return Promise.resolve(this.#held(entry, 'stale'))
    }
    // Each caller asks the guard for itself: who joined another's question would be told what was true before.
    const verdict = this.guard?.mayContain(key) ?? true
    if (verdict === true) return this.#read(key, id, load, policy, entry, signal)
    if (verdict === false) return Promise.resolve(this.#denied(key, load))
    return verdict.then(maybe => (maybe ? this.#read(key, id, load, policy, entry, signal) : this.#denied(key, load)))
  }

  #keepRead(passage: Passage, key: string, kept: Kept<V>): boolean {
    if (passage.fenced || !this.#firstTier.keep(key, kept, passage.tick, passage.startedAt)) return false
    if (kept.value === null && this.guard?.state === 'ready') {
      const oldest = this.#passed.add(key)
      if (oldest !== undefined && oldest !== key) this.#firstTier.delete(oldest)
    }
    return true
  }

  #denied(key: string, load: Load<V, K> | undefined): Outcome<V> {
    this.stats.guarded++
    if (load !== undefined && !this.#around.isDraining()) {
      const audit = this.guard?.denied(key, () => load(nobody(), undefined).then(({ value }) => value))
      if (audit !== undefined) this.#around.inFlight.run(audit)
    }
    return { value: null, source: 'absent', age: 0 }
  }

  /**
   * Neither the first tier nor the guard has an answer; at most a stale entry to fall back on.
   *
   * @param missed in Redis it was looked for already, in vain.
   */
  #read(
    key: string,
    id: K,
    load: Load<V, K> | undefined,
    policy: ResolvedPolicy<V, K>,
    entry: MemoryEntry<V> | undefined,
    signal: AbortSignal | undefined,
    missed?: Missed,
  ): Promise<Outcome<V>> {
    const flying = this.#flights.get(key)
    // One that has its value is believed as memory is: while other instances are heard.
    if (flying?.tick === this.#firstTier.tick && (!flying.settled || this.#firstTier.isTrusted(key))) {
      this.stats.coalesced++
      return flying.join(signal, this.#around.budget.place)
    }
    // Or a tag was deleted since it began, and it may turn out to be under that.
    if (flying !== undefined) this.#flights.fence(key)
    const failure = this.#flights.failures.get(key)
    if (failure !== undefined) return Promise.reject(failure.error)
    const refusal = this.#refusal(load)
    if (load === undefined || refusal !== undefined) return Promise.reject(refusal)
    this.#around.connect()
    const flight = this.#flights.start({ key, id, load, policy, stale: entry?.value, aheadMs: 0 }, missed)
    if (entry !== undefined) {
      this.stats.staleHits++
      flight.fallBackOn(this.#held(entry, 'stale'), policy.softTimeoutMs, this.#firstTier.left(entry))
    }
    return flight.join(signal, this.#around.budget.place)
  }

  #straight(key: string): MemoryEntry<V> | undefined {
    const entry = this.#firstTier.straight(key)
    if (entry !== undefined) this.stats.memoryHits++
    return entry
  }

  /** Refreshes behind the callers, unless someone is at it, it failed of late, or the cache is being drained. */
  #refresh(
    key: string,
    id: K,
    load: Load<V, K> | undefined,
    policy: ResolvedPolicy<V, K>,
    { value }: MemoryEntry<V>,
    aheadMs: number,
  ): void {
    if (load === undefined || this.#flights.get(key) !== undefined || this.#around.isDraining()) return
    if (this.#flights.failures.get(key) !== undefined) return
    this.#flights.start({ key, id, load, policy, stale: value, aheadMs }).runBehind()
  }

  #held(entry: MemoryEntry<V>, source: Outcome<V>['source']): Outcome<V> {
    return { value: entry.value, source, age: this.#firstTier.age(entry) }
  }

  async #forget(key: string): Promise<void> {
    if ((await this.#writes.delete(key)) === 'applied') return
    throw new BreakwaterError('rejected', 'CACHE_QUEUED', `space "${this.name}": Redis cannot be told yet`)
  }

  #refusal(load: unknown): BreakwaterError | undefined {
    if (load !== undefined) return this.#around.closedError()
    const message = `space "${this.name}" was declared without a loader: give it "load" or "loadMany", or use getOrLoad`
    return new BreakwaterError('usage', 'CACHE_NO_LOADER', message)
  }
}

function toValue<V>(outcome: Outcome<V>): V | null {
  return outcome.value
}
