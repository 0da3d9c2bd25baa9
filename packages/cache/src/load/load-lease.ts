/**
 * The load lease: of all processes that miss a key, one loads it, and what it loads is stored only if nobody has
 * invalidated the key since it began.
 *
 * Two storms and one race are settled here, by one key in Redis beside each value:
 *
 *   breakdown   a hot key expires, and a thousand requests in eight processes run the same query;
 *   takeover    the one that loads dies, and the others wait for it for ever;
 *   resurrection
 *               A misses and reads the row; B changes the row and deletes the key; A stores what it read. The old
 *               value now lives for a whole ttl, and no later delete is coming.
 *
 *        A                      Redis                       B
 *        | getOrLease(k) -----> value: none
 *        |                      lease: T<token A>
 *        | <------------- WON   |
 *        | reads the row        |                           | changes the row
 *        |                      value, lease: deleted <---- | invalidate(k)
 *        | fill(k, token A) --> lease is not T<token A>
 *        | <--------------- 0   |       nothing is stored
 *
 * Why a value read before an invalidation can never be stored after it. Redis runs scripts one at a time, so the lease
 * and the value change together or not at all. `fill` stores only while the lease holds its own token. The token was
 * put there before the loader was called; an invalidation deletes it; and nothing ever puts the same token there again,
 * since tokens are random and used once (a counter could repeat after a failover that lost writes [1]). So a `fill` that
 * stores was preceded by no invalidation since before its loader began. [2] is the same idea in memcached, where the
 * lease is 64 bits that a delete forgets.
 *
 * A clear deletes no lease, since it cannot know them all; it changes the stamp that came with each, which `fill` compares
 * too, and every read.
 *
 * Who does not win the lease is told WAIT and puts the name of its instance's wake channel into the waiters' set: `fill`,
 * `release` and `invalidate` publish to each of those once. A publication can be lost with its subscriber's connection,
 * so a waiter also looks again by itself: after a short while, and when the lease should have ended. A lease ends by
 * itself (PX) when its holder dies; a living holder renews it at a third of its time.
 *
 * A load that fails leaves a note in the lease's place for a short back-off: whoever asks meanwhile, on any instance,
 * shares the failure instead of repeating it. The note names the error's class and code, never its message, which may
 * hold a caller's data.
 *
 * A value past its freshness but within its grace is handed out with STALE, and to one caller with STALE_WON, who
 * refreshes it behind. The lease's holder is thus chosen in the same step as the answer: one round trip for either.
 *
 * Sources: [1] Kleppmann, "How to do distributed locking", 2016. [2] Nishtala et al., "Scaling Memcache at Facebook",
 * NSDI 2013, section 3.2.1.
 */

import { randomUUID } from 'node:crypto'
import type { EncodedEntry } from '../entry.js'
import { FAILED, fill, getOrLease, HIT, release, renew, STALE, STALE_WON, WAIT, WON } from '../redis/scripts.js'
import type { Shard, Shards } from '../redis/shards.js'
import { TurnBatch } from './turn-batch.js'

/** The right to load a key, as long as Redis holds the token for it and no clear has changed the stamp. */
export interface Lease {
  readonly token: string
  readonly stamp: string
}

export type LeaseReply =
  | { readonly state: 'hit'; readonly stored: string; readonly freshMs: number }
  /** Servable for `leftMs` more; with a lease this caller refreshes it. */
  | { readonly state: 'stale'; readonly stored: string; readonly leftMs: number; readonly lease: Lease | undefined }
  | { readonly state: 'won'; readonly lease: Lease }
  | { readonly state: 'wait'; readonly leaseMs: number }
  | { readonly state: 'failed'; readonly what: string; readonly leftMs: number }

interface Question {
  readonly keys: readonly string[]
  readonly token: string
}

type RawReply = [state: number, text: string, ms: number, stamp: string]

/** One script holds Redis up for as long as it runs. */
const MOST_KEYS_AT_ONCE = 200

export class LoadLease {
  readonly #shards: Shards
  readonly #space: string
  readonly #wakeChannel: string
  readonly leaseMs: number
  readonly #backoffMs: number
  /** By shard. */
  readonly #asked: readonly TurnBatch<Question, LeaseReply>[]

  constructor(shards: Shards, space: string, wakeChannel: string, leaseMs: number, backoffMs: number) {
    this.#shards = shards
    this.#asked = shards.all.map(
      shard => new TurnBatch<Question, LeaseReply>(MOST_KEYS_AT_ONCE, questions => this.#ask(shard, questions)),
    )
    this.#space = space
    this.#wakeChannel = wakeChannel
    this.leaseMs = leaseMs
    this.#backoffMs = backoffMs
  }

  /** Returns a token that no load has had before. */
  newToken(): string {
    return randomUUID()
  }

  /** Reads `key`, or asks for its lease. What is asked for in one turn of the event loop goes in one round trip a shard. */
  getOrLease(key: string, token: string): Promise<LeaseReply> {
    const shard = this.#shardOf(key)
    const batch = this.#asked[shard.index] as TurnBatch<Question, LeaseReply>
    return batch.add({ keys: this.#keys(shard, key), token })
  }

  async #ask({ redis, layout }: Shard, questions: readonly Question[]): Promise<LeaseReply[]> {
    const replies = (await redis.run(
      getOrLease,
      [layout.generations(), ...questions.flatMap(question => question.keys)],
      [this.leaseMs, this.#wakeChannel, this.#space, ...questions.map(question => question.token)],
    )) as RawReply[]
    return replies.map((reply, i) => readReply(reply, (questions[i] as Question).token))
  }

  /** Stores what was loaded under `lease`; false if it was lost meanwhile, to an invalidation, a clear or its end. */
  async fill(key: string, lease: Lease, entry: EncodedEntry, ttlMs: number, graceMs: number): Promise<boolean> {
    const times = [Math.ceil(ttlMs), Math.ceil(graceMs)]
    const args = [this.#message(key), lease.token, entry.kind, entry.body, ...times, this.#space, lease.stamp]
    const shard = this.#shardOf(key)
    return (await shard.redis.run(fill, [...this.#keys(shard, key), shard.layout.generations()], args)) === 1
  }

  /** Gives the lease up; with an error, for all who wait and all who ask within the back-off. */
  async release(key: string, token: string, error?: unknown): Promise<void> {
    const shard = this.#shardOf(key)
    await shard.redis.run(release, this.#keys(shard, key), [
      this.#message(key),
      token,
      error === undefined ? '' : nameOf(error),
      this.#backoffMs,
    ])
  }

  /** Prolongs the lease; false if it is no longer ours. */
  async renew(key: string, token: string): Promise<boolean> {
    const { redis, layout } = this.#shardOf(key)
    return (await redis.run(renew, [layout.lease(this.#space, key)], [token, this.leaseMs])) === 1
  }

  #shardOf(key: string): Shard {
    return this.#shards.of(this.#space, key)
  }

  #keys({ layout }: Shard, key: string): string[] {
    return [layout.value(this.#space, key), layout.lease(this.#space, key), layout.waiters(this.#space, key)]
  }

  #message(key: string): string {
    return `${this.#space}:${key}`
  }
}

function readReply(reply: RawReply, token: string): LeaseReply {
  switch (reply[0]) {
    case HIT:
      return { state: 'hit', stored: reply[1], freshMs: reply[2] }
    case STALE:
      return { state: 'stale', stored: reply[1], leftMs: reply[2], lease: undefined }
    case STALE_WON:
      return { state: 'stale', stored: reply[1], leftMs: reply[2], lease: { token, stamp: reply[3] } }
    case WON:
      return { state: 'won', lease: { token, stamp: reply[1] } }
    case WAIT:
      return { state: 'wait', leaseMs: Number(reply[1]) }
    case FAILED:
      return { state: 'failed', what: reply[1], leftMs: reply[2] }
    default:
      throw new Error(`getOrLease replied ${JSON.stringify(reply)}`)
  }
}

/** What may be told to other instances of an error: its class and code. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'a value that is not an Error'
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' ? `${error.name} ${code}` : error.name
}
