/**
 * The way of one flight past first tier and guard: Redis or the lease, then the loader, then the fill. Each step has its
 * own bound, and each failure of Redis leads on to the loader.
 */

import { BreakwaterError, Deadline, isBreakwaterError } from '@breakwater/kernel'
import type { Codec, DecodedEntry, EncodedEntry } from '../codec/codec.js'
import type { CacheKey } from '../keys.js'
import type { Kept } from '../memory/first-tier.js'
import type { ResolvedPolicy } from '../resolve-options.js'
import { encodeTags } from '../tags/tag.js'
import type { FirstLook, Hit, Look } from './first-look.js'
import type { Flight, Passage } from './flight.js'
import type { Lease, LeaseReply, LoadLease } from './load-lease.js'
import type { Loaded } from './loading.js'
import { ABANDON_FACTOR, gaveUp, type LoadBounds, type LoadOwner } from './run-load.js'

/** A waiter looks again after this long, in case its wake-up was lost. */
const FALLBACK_POLL_MS = 200
/** One that could be given a stale value looks again after this long: it waits for its soft time-out only. */
const SOFT_POLL_MS = 25

/** What one call asks for. */
export interface LoadRequest<V, K extends CacheKey> {
  readonly key: string
  readonly id: K
  /** Calls the loader, bounded; given the value that has turned stale, if there is one. */
  load(owner: LoadOwner, stale: V | null | undefined): Promise<Loaded<V>>
  readonly policy: ResolvedPolicy<V, K>
  /** The value that the first tier holds past its ttl, or shortly before that. */
  readonly stale: V | null | undefined
  /** How long before it turns stale a value is to be refreshed; 0 for not before. */
  readonly aheadMs: number
}

export interface LoadPathParts<V> extends LoadBounds {
  readonly random: () => number
  /** None without Redis. */
  readonly lease: LoadLease | undefined
  /** None without Redis, or where a plain read may ask a replica. */
  readonly firstLook: FirstLook | undefined
  /** In which a first look has an answer, or is given up. */
  readonly lookMs: number
  readonly codec: Codec<V>
  /** Keeps a value in the first tier, unless its passage was fenced. */
  keep(passage: Passage, key: string, kept: Kept<V>): boolean
  /** While draining, nothing is refreshed. */
  isDraining(): boolean
}

type Found = Extract<LeaseReply, { state: 'hit' | 'stale' }>

/** Why a first look did not find a value. */
export type Missed = Exclude<Look, Hit>
/** What came of a first look. */
type Looked = 'found' | Missed

/** Who looks for many keys at once is told of each by its place. */
export interface ManyLooks<V> {
  passage(key: string): Passage
  found(at: number, value: V | null): void
  missed(at: number, why: Missed): unknown
}

export class LoadPath<V, K extends CacheKey> {
  readonly #parts: LoadPathParts<V>

  constructor(parts: LoadPathParts<V>) {
    this.#parts = parts
  }

  /**
   * Settles the flight with what Redis holds fresh, if it does; then calls `then`, at once where there is nothing to look at.
   * A plain read, without a lease: what it brings goes to the callers and, unless the flight was fenced, into memory.
   */
  look(flight: Flight<V>, request: LoadRequest<V, K>, then: (looked: Looked) => void): void {
    const { firstLook, lookMs, hardTimeoutMs } = this.#parts
    // What is stale here is most likely stale there, or its lease is wanted anyway.
    if (firstLook === undefined || request.stale !== undefined) {
      flight.watch()
      then('none')
      return
    }
    // A timer for each read would cost more than the read of a value in memory does.
    if (hardTimeoutMs <= lookMs) flight.watch()
    firstLook.at(request.key, look => {
      if (typeof look === 'string') {
        flight.watch()
        then(look)
        return
      }
      const entry = this.#parts.codec.decode(look.stored, look.header)
      if (entry instanceof Promise) void entry.then(decoded => this.#looked(flight, request, look, decoded, then))
      else this.#looked(flight, request, look, entry, then)
    })
  }

  #looked(
    flight: Flight<V>,
    request: LoadRequest<V, K>,
    hit: Hit,
    entry: DecodedEntry<V> | undefined,
    then: (looked: Looked) => void,
  ): void {
    if (entry !== undefined) {
      this.#fresh(flight, request, hit, entry)
      then('found')
    } else {
      flight.watch()
      then('none')
    }
  }

  /** Whether many keys can be looked for with no flight for each: by a plain read, for which each of their callers waits. */
  get looksForMany(): boolean {
    const { firstLook, hardTimeoutMs, lookMs } = this.#parts
    return firstLook !== undefined && hardTimeoutMs > lookMs
  }

  /** As `look`, for many keys. Resolves when each was found or missed. */
  lookForMany(keys: readonly string[], policy: ResolvedPolicy<V, K>, looks: ManyLooks<V>): Promise<void> {
    const { firstLook, codec } = this.#parts
    let left = keys.length
    return new Promise(resolve => {
      const over = (): void => {
        if (--left === 0) resolve()
      }
      for (const [at, key] of keys.entries()) {
        const read = (hit: Hit, entry: DecodedEntry<V> | undefined): void => {
          if (entry === undefined) looks.missed(at, 'none')
          else {
            this.#keepFresh(looks.passage(key), key, policy, hit, entry)
            looks.found(at, entry.value)
          }
          over()
        }
        firstLook?.at(key, look => {
          if (typeof look === 'string') {
            looks.missed(at, look)
            over()
            return
          }
          const entry = codec.decode(look.stored, look.header)
          if (entry instanceof Promise) void entry.then(decoded => read(look, decoded))
          else read(look, entry)
        })
      }
    })
  }

  /**
   * Settles the flight, and goes on behind it where a refresh is due. Rejects with what the flight failed with.
   *
   * @param pastRedis Redis does not answer.
   */
  async run(flight: Flight<V>, request: LoadRequest<V, K>, pastRedis: boolean): Promise<void> {
    const { lease, inFlight, stats } = this.#parts
    inFlight.throwIfAborted()
    flight.throwIfAbandoned()
    if (lease === undefined) return this.#load(flight, request, undefined)
    if (!pastRedis) return this.#readOrLoad(flight, request, lease)
    stats.redisBypassed++
    return this.#load(flight, request, undefined)
  }

  async #readOrLoad(flight: Flight<V>, request: LoadRequest<V, K>, lease: LoadLease): Promise<void> {
    const { stats, clock, hardTimeoutMs, space, inFlight } = this.#parts
    const { key } = request
    const deadline = new Deadline(clock, hardTimeoutMs * ABANDON_FACTOR)
    let waited = false
    for (;;) {
      inFlight.throwIfAborted()
      flight.throwIfAbandoned()
      const token = lease.newToken()
      flight.listen()
      const reply = await lease.getOrLease(key, token, request.aheadMs).catch(() => undefined)
      if (reply === undefined) {
        stats.redisBypassed++
        // A script that timed out may have won the lease: it is given back under its token.
        return this.#load(flight, request, { token, stamp: undefined })
      }
      if (reply.state === 'won') return this.#load(flight, request, reply.lease)
      if (reply.state === 'failed') {
        throw new BreakwaterError(
          'failed',
          'CACHE_LOAD_FAILED_ELSEWHERE',
          `space "${space}": the last load failed on another instance (${reply.what}); next try in ${reply.leftMs} ms`,
          { retryable: true, retryAfterMs: reply.leftMs },
        )
      }
      if (reply.state !== 'wait') {
        const entry = await this.#parts.codec.decode(reply.stored)
        if (entry !== undefined) {
          if (await this.#found(flight, request, lease, reply, entry)) return
          await flight.waitForWake(SOFT_POLL_MS)
          if (flight.settled) return
          continue
        }
        stats.poisoned++
        if (reply.state === 'stale' && reply.lease) return this.#load(flight, request, reply.lease)
        await lease.discard(key, reply.stored).catch(() => {})
      }
      if (deadline.expired) throw gaveUp(space, deadline)
      if (reply.state !== 'wait') continue
      if (!waited) stats.waits++
      waited = true
      await flight.waitForWake(Math.min(FALLBACK_POLL_MS, Math.max(1, reply.leaseMs), deadline.remainingMs))
    }
  }

  #fresh(
    flight: Flight<V>,
    { key, policy }: LoadRequest<V, K>,
    hit: Pick<Hit, 'freshMs' | 'ageMs'>,
    entry: DecodedEntry<V>,
  ): void {
    const { value } = entry
    this.#keepFresh(flight, key, policy, hit, entry)
    flight.settle({ value, source: value === null ? 'absent' : 'redis', age: hit.ageMs })
  }

  #keepFresh(
    passage: Passage,
    key: string,
    { ahead, graceMs }: ResolvedPolicy<V, K>,
    { freshMs, ageMs }: Pick<Hit, 'freshMs' | 'ageMs'>,
    { value, weight, tags, loadMs }: DecodedEntry<V>,
  ): void {
    this.#parts.stats.redisHits++
    const staleMs = freshMs + (value === null ? 0 : graceMs)
    this.#parts.keep(passage, key, { value, weight, tags, loadMs, ageMs, freshMs, staleMs, alone: false, ahead })
  }

  /** Hands out what Redis had; resolves with false if the flight is to look again for something fresher. */
  async #found(
    flight: Flight<V>,
    request: LoadRequest<V, K>,
    lease: LoadLease,
    reply: Found,
    entry: DecodedEntry<V>,
  ): Promise<boolean> {
    const { stats } = this.#parts
    const { key, policy } = request
    const { value, weight, tags, loadMs } = entry
    if (reply.state === 'hit') {
      this.#fresh(flight, request, reply, entry)
      return true
    }
    const { ageMs, leftMs: staleMs } = reply
    const { ahead } = policy
    this.#parts.keep(flight, key, { value, weight, tags, loadMs, ageMs, freshMs: 0, staleMs, alone: false, ahead })
    if (!flight.settled) stats.staleHits++
    flight.fallBackOn({ value, source: 'stale', age: reply.ageMs }, policy.softTimeoutMs, reply.leftMs)
    if (reply.lease === undefined) return flight.settled
    if (this.#parts.isDraining()) {
      flight.fallBackOn({ value, source: 'stale', age: reply.ageMs }, 0, reply.leftMs)
      await lease.release(key, reply.lease.token).catch(() => {})
    } else {
      await this.#load(flight, { ...request, stale: value }, reply.lease)
    }
    return true
  }

  /** Runs the loader, hands its value to the flight, and keeps it unless the key was invalidated meanwhile. */
  async #load(
    flight: Flight<V>,
    request: LoadRequest<V, K>,
    held: (Omit<Lease, 'stamp'> & { readonly stamp: string | undefined }) | undefined,
  ): Promise<void> {
    const { stats, lease, inFlight, codec } = this.#parts
    const { key, id, policy } = request
    let loaded: Loaded<V>
    let entry: EncodedEntry
    let tags: readonly string[]
    try {
      loaded = await this.#underLease(flight, request, held?.token)
      entry = codec.encode(loaded.value)
      const { tags: own } = policy
      const declared = typeof own === 'function' ? own(id, loaded.value) : own
      tags = declared === undefined ? loaded.tags : encodeTags(declared).concat(loaded.tags)
    } catch (error) {
      stats.loadFailures++
      // The failure is shared through Redis before the flight fails, so that no caller can ask it anew in between.
      if (lease !== undefined && held !== undefined) {
        // A load that our own end, our own budget or our own callers cut short says nothing about the key.
        const ours = inFlight.aborted || flight.abandoned || (isBreakwaterError(error) && error.kind === 'rejected')
        await lease.release(key, held.token, ours ? undefined : error).catch(() => {})
      }
      throw error
    }
    const { value, loadMs } = loaded
    const ttlMs = (loaded.ttlMs ?? (value === null ? policy.absentTtlMs : policy.ttlMs)) * this.#spread(policy.jitter)
    const graceMs = value === null ? 0 : policy.graceMs
    // The callers have waited for the loader, not for Redis.
    flight.settle({ value, source: value === null ? 'absent' : 'loader', age: 0 })
    const kept = { value, weight: entry.weight, tags, loadMs, ageMs: 0, ahead: policy.ahead }
    const times = { freshMs: ttlMs, staleMs: ttlMs + graceMs }
    let stored = lease === undefined
    if (lease !== undefined && held?.stamp !== undefined) {
      const filling = { ttlMs, graceMs, loadMs: Math.min(loadMs, 999_999), meta: codec.meta(tags), tags }
      // Without an answer it is not known whether the lease still held.
      stored = await codec
        .pack(entry)
        .then(packed =>
          lease.fill(key, { token: held.token, stamp: held.stamp as string }, { ...filling, entry: packed }),
        )
        .catch(() => false)
    } else if (lease !== undefined) {
      // Behind the flight, which nobody is to join while a Redis that is away is waited for.
      if (held !== undefined) inFlight.run(lease.release(key, held.token).catch(() => {}))
      this.#parts.keep(flight, key, { ...kept, ...times, alone: true })
      return
    }
    if (!stored || !this.#parts.keep(flight, key, { ...kept, ...times, alone: false })) stats.fenced++
  }

  /** Calls the loader, with the lease renewed from when it runs. */
  async #underLease(flight: Flight<V>, request: LoadRequest<V, K>, token: string | undefined): Promise<Loaded<V>> {
    const { lease } = this.#parts
    let stopRenewing: (() => void) | undefined
    // Not while it waits for its place: another process may have one free, and must not wait for this one.
    if (lease !== undefined && token !== undefined) {
      flight.whenBegun = () => {
        stopRenewing = this.#keepRenewing(lease, request.key, token)
      }
    }
    try {
      return await request.load(flight, request.stale)
    } finally {
      stopRenewing?.()
    }
  }

  #keepRenewing(lease: LoadLease, key: string, token: string): () => void {
    const { clock } = this.#parts
    let stopped = false
    const again = (): void => {
      if (!stopped) timer = clock.schedule(lease.leaseMs / 3, renew)
    }
    const renew = (): void => {
      lease.renew(key, token).then(ours => {
        if (ours) again()
      }, again)
    }
    let timer = clock.schedule(lease.leaseMs / 3, renew)
    return () => {
      stopped = true
      timer.cancel()
    }
  }

  /** A factor of 1 or less, so that keys stored together do not turn stale together. */
  #spread(jitter: number): number {
    return 1 - jitter * this.#parts.random()
  }
}
