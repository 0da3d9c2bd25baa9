/**
 * The way of one flight past first tier and guard: Redis or the lease, then the loader, then the fill. Each step has its own bound, and each failure of Redis leads on to the loader.
 */

import { BreakwaterError, Deadline, isBreakwaterError } from '@breakwater/kernel'
import { decodeEntry, type EncodedEntry, encodeEntry } from '../entry.js'
import type { ResolvedPolicy } from '../options.js'
import type { Flight } from './flight.js'
import type { Lease, LoadLease } from './load-lease.js'
import { ABANDON_FACTOR, gaveUp, type LoadBounds } from './run-load.js'

/** A waiter looks again after this long, in case its wake-up was lost. */
const FALLBACK_POLL_MS = 200

/** What one call asks for. */
export interface LoadRequest<V> {
  readonly key: string
  /** Calls the loader, bounded; given the value that has turned stale, if there is one. */
  load(stale: V | null | undefined): Promise<V | null>
  readonly policy: ResolvedPolicy
  /** The value that the first tier holds past its ttl. */
  readonly stale: V | null | undefined
}

export interface LoadPathParts<V> extends LoadBounds {
  /** None without Redis. */
  readonly lease: LoadLease | undefined
  /** Removes an entry that could not be read, given its stored text. */
  discard(key: string, stored: string): Promise<void>
  /** Keeps a value in the first tier, fresh for `freshMs` and servable for `staleMs`. */
  keep(key: string, value: V | null, freshMs: number, staleMs: number, bodyLength: number): void
  /** While draining, nothing is refreshed. */
  isDraining(): boolean
}

export class LoadPath<V> {
  readonly #parts: LoadPathParts<V>

  constructor(parts: LoadPathParts<V>) {
    this.#parts = parts
  }

  /** Settles the flight, and goes on behind it where a refresh is due. Rejects with what the flight failed with. */
  async run(flight: Flight<V>, request: LoadRequest<V>): Promise<void> {
    const { lease } = this.#parts
    if (lease === undefined) await this.#load(flight, request, undefined)
    else await this.#readOrLoad(flight, request, lease)
  }

  async #readOrLoad(flight: Flight<V>, request: LoadRequest<V>, lease: LoadLease): Promise<void> {
    const { stats, clock, hardTimeoutMs } = this.#parts
    const { key, policy } = request
    const deadline = new Deadline(clock, hardTimeoutMs * ABANDON_FACTOR)
    let waited = false
    for (;;) {
      this.#parts.inFlight.throwIfAborted()
      const token = lease.newToken()
      flight.listen()
      const reply = await lease.getOrLease(key, token).catch(() => undefined)
      if (reply === undefined) {
        stats.redisBypassed++
        // A script that timed out may have won the lease; under a token without its stamp a fill only gives it back.
        return this.#load(flight, request, { token, stamp: '' })
      }
      if (reply.state === 'hit' || reply.state === 'stale') {
        const entry = decodeEntry<V>(reply.stored)
        if (entry === undefined) {
          stats.poisoned++
          if (reply.state === 'stale' && reply.lease) return this.#load(flight, request, reply.lease)
          await this.#parts.discard(key, reply.stored).catch(() => {})
          if (deadline.expired) throw gaveUp(this.#parts.space, deadline)
          continue
        }
        const { value, bodyLength } = entry
        if (reply.state === 'hit') {
          stats.redisHits++
          if (!flight.fenced) {
            const graceMs = value === null ? 0 : policy.graceMs
            this.#parts.keep(key, value, reply.freshMs, reply.freshMs + graceMs, bodyLength)
          }
          flight.settle({ value, source: value === null ? 'absent' : 'redis' })
          return
        }
        stats.staleHits++
        if (!flight.fenced) this.#parts.keep(key, value, 0, reply.leftMs, bodyLength)
        flight.settle({ value, source: 'stale' })
        if (reply.lease === undefined) return
        if (this.#parts.isDraining()) return lease.release(key, token).catch(() => {})
        return this.#load(flight, { ...request, stale: value }, reply.lease)
      }
      if (reply.state === 'won') return this.#load(flight, request, reply.lease)
      if (reply.state === 'failed') {
        throw new BreakwaterError(
          'failed',
          'CACHE_LOAD_FAILED_ELSEWHERE',
          `space "${this.#parts.space}": the last load failed on another instance (${reply.what}); next try in ${reply.leftMs} ms`,
          { retryable: true, retryAfterMs: reply.leftMs },
        )
      }
      if (!waited) stats.waits++
      waited = true
      if (deadline.expired) throw gaveUp(this.#parts.space, deadline)
      await flight.waitForWake(Math.min(FALLBACK_POLL_MS, Math.max(1, reply.leaseMs), deadline.remainingMs))
    }
  }

  /** Runs the loader, hands its value to the flight, and keeps it unless the key was invalidated meanwhile. */
  async #load(flight: Flight<V>, request: LoadRequest<V>, held: Lease | undefined): Promise<void> {
    const { stats, lease, inFlight } = this.#parts
    const { key, policy } = request
    let value: V | null
    let entry: EncodedEntry
    try {
      value = await this.#underLease(request, held?.token)
      entry = encodeEntry(value, this.#parts.space)
    } catch (error) {
      stats.loadFailures++
      // The failure is shared through Redis before the flight fails, so that no caller can ask it anew in between.
      if (lease !== undefined && held !== undefined) {
        // A load that our own end or our own budget cut short says nothing about the key.
        const ours = inFlight.aborted || (isBreakwaterError(error) && error.kind === 'rejected')
        await lease.release(key, held.token, ours ? undefined : error).catch(() => {})
      }
      throw error
    }
    const ttlMs = (value === null ? policy.absentTtlMs : policy.ttlMs) * (1 - policy.jitter * Math.random())
    const graceMs = value === null ? 0 : policy.graceMs
    // The callers have waited for the loader, not for Redis.
    flight.settle({ value, source: value === null ? 'absent' : 'loader' })
    let kept = true
    if (lease !== undefined && held !== undefined) {
      // Without an answer it is not known whether the lease still held: the first tier must not keep the value.
      kept = await lease.fill(key, held, entry, ttlMs, graceMs).catch(() => false)
    }
    if (kept && !flight.fenced) this.#parts.keep(key, value, ttlMs, ttlMs + graceMs, entry.body.length)
    else stats.fenced++
  }

  /** Calls the loader, with the lease renewed while it runs. */
  async #underLease(request: LoadRequest<V>, token: string | undefined): Promise<V | null> {
    const { lease } = this.#parts
    const stopRenewing =
      lease !== undefined && token !== undefined ? this.#keepRenewing(lease, request.key, token) : undefined
    try {
      return await request.load(request.stale)
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
}
