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
 * A clear, and the deletion of a tag, delete no lease, since they cannot know whose. The lease comes with a stamp: the epoch
 * of the shard's state, and n, how many entries its log had then. Clear and deletion are entries themselves and note their
 * number; `fill` stores, and every read takes, only what is not older than that. A load that began before them has a smaller
 * n, also if its loader names its tags only at its end:
 *
 *        A                      Redis                       B
 *        | getOrLease(k) -----> n = 7
 *        | <------------- WON 7 |
 *        | reads the row        |                           | changes the row
 *        |                      n = 8, tag t: 8 <---------- | deleteByTag(t)
 *        | "it is under t"      |
 *        | fill(k, 7, [t]) ---> 7 < 8
 *        | <--------------- 0   |       nothing is stored
 *
 * n is a counter and may repeat after a failover that lost writes; but then the lease is lost too, or all that came before
 * it is there.
 *
 * Before any of this a key is looked at by a plain MGET (first-look.ts), which takes no lease: most reads find a fresh value,
 * and need none. The argument does not lean on that read. What it finds goes to those who asked before it was sent, and into
 * memory unless the flight was fenced, as a HIT does; nothing is ever written to Redis for it. Who finds nothing fresh goes
 * on to the script, which looks again, in the same step as it gives the lease. That a plain read takes nothing that a clear,
 * a tag or a failover has taken, it sees from the marks (redis/marks.ts), which come in the same MGET: the server runs that
 * in one step too, so marks and values are of one moment, after the read began.
 *
 * Who does not win the lease is told WAIT and puts the name of its instance's wake channel into the waiters' set: `fill`
 * and `release` publish to each of those once. An invalidation is told to all by the log, and wakes them too. Either can be
 * lost with its connection, so a waiter also looks again by itself: after a short while, and when the lease should have
 * ended. A lease ends by itself (PX) when its holder dies; a living holder renews it at a third of its time.
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
import type { EncodedEntry } from '../codec/codec.js'
import { AT } from '../redis/lua.js'
import type { RedisArgument } from '../redis/redis-like.js'
import type { Script } from '../redis/script.js'
import {
  discard,
  FAILED,
  fill,
  getOrLease,
  HIT,
  release,
  renew,
  STALE,
  STALE_WON,
  WAIT,
  WON,
} from '../redis/scripts.js'

import type { Shard, Shards } from '../redis/shards.js'
import { TurnBatch } from './turn-batch.js'

/** The right to load a key, as long as Redis holds the token for it; and as of when what is read under it counts. */
export interface Lease {
  readonly token: string
  readonly stamp: string
}

export type LeaseReply =
  | { readonly state: 'hit'; readonly stored: Buffer; readonly freshMs: number; readonly ageMs: number }
  /** Servable for `leftMs` more; with a lease this caller refreshes it. */
  | {
      readonly state: 'stale'
      readonly stored: Buffer
      readonly leftMs: number
      readonly ageMs: number
      readonly lease: Lease | undefined
    }
  | { readonly state: 'won'; readonly lease: Lease }
  | { readonly state: 'wait'; readonly leaseMs: number }
  | { readonly state: 'failed'; readonly what: string; readonly leftMs: number }

interface Question {
  readonly keys: readonly string[]
  readonly token: string
  readonly aheadMs: number
}

/** What is to be stored, and for how long. */
export interface Filling {
  readonly entry: EncodedEntry
  readonly ttlMs: number
  readonly graceMs: number
  readonly loadMs: number
  readonly meta: string
  readonly tags: readonly string[]
}

type RawReply = [state: number, text: Buffer | number, ms: number, ageMs: number, stamp: Buffer]

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

  /**
   * Reads `key`, or asks for its lease: also that of a value that is fresh for no longer than `aheadMs`. What is asked for
   * in one turn of the event loop goes in one round trip a shard.
   */
  getOrLease(key: string, token: string, aheadMs: number): Promise<LeaseReply> {
    const shard = this.#shardOf(key)
    const batch = this.#asked[shard.index] as TurnBatch<Question, LeaseReply>
    return batch.add({ keys: shard.layout.of(this.#space, key), token, aheadMs: Math.ceil(aheadMs) })
  }

  async #ask({ redis, layout }: Shard, questions: readonly Question[]): Promise<LeaseReply[]> {
    const replies = (await redis.run(
      getOrLease,
      [...layout.control(), ...questions.flatMap(question => question.keys)],
      [this.leaseMs, this.#wakeChannel, this.#space, ...questions.flatMap(({ token, aheadMs }) => [token, aheadMs])],
      true,
    )) as RawReply[]
    return replies.map((reply, i) => readReply(reply, (questions[i] as Question).token))
  }

  /** Stores what was loaded under `lease`; false if it was lost meanwhile, to an invalidation, a clear, a tag or its end. */
  async fill(key: string, lease: Lease, filling: Filling): Promise<boolean> {
    const { entry, meta, tags } = filling
    const times = [filling.ttlMs, filling.graceMs, filling.loadMs].map(Math.ceil)
    const reply = await this.#run(fill, key, [
      this.#message(key),
      lease.token,
      this.#space,
      lease.stamp,
      entry.kind,
      entry.body,
      ...times,
      meta,
      tags.join(),
    ])
    return reply === 1
  }

  /** Gives the lease up; with an error, for all who wait and all who ask within the back-off. */
  async release(key: string, token: string, error?: unknown): Promise<void> {
    const what = error === undefined || this.#backoffMs === 0 ? '' : nameOf(error)
    await this.#run(release, key, [this.#message(key), token, what, this.#backoffMs])
  }

  /** Prolongs the lease; false if it is no longer ours. */
  async renew(key: string, token: string): Promise<boolean> {
    return (await this.#run(renew, key, [token, this.leaseMs])) === 1
  }

  /** Removes a value that could not be read, unless it was replaced meanwhile. */
  async discard(key: string, stored: Buffer): Promise<void> {
    await this.#run(discard, key, [stored.subarray(0, AT.loadMs)])
  }

  #run(script: Script, key: string, args: readonly RedisArgument[]): Promise<unknown> {
    const { redis, layout } = this.#shardOf(key)
    return redis.run(script, [...layout.control(), ...layout.of(this.#space, key)], args)
  }

  #shardOf(key: string): Shard {
    return this.#shards.of(this.#space, key)
  }

  #message(key: string): string {
    return `${this.#space}:${key}`
  }
}

function readReply([state, text, ms, ageMs, stamp]: RawReply, token: string): LeaseReply {
  switch (state) {
    case HIT:
      return { state: 'hit', stored: text as Buffer, freshMs: ms, ageMs }
    case STALE:
      return { state: 'stale', stored: text as Buffer, leftMs: ms, ageMs, lease: undefined }
    case STALE_WON:
      return { state: 'stale', stored: text as Buffer, leftMs: ms, ageMs, lease: { token, stamp: stamp.toString() } }
    case WON:
      return { state: 'won', lease: { token, stamp: text.toString() } }
    case WAIT:
      return { state: 'wait', leaseMs: Number(text) }
    case FAILED:
      return { state: 'failed', what: text.toString(), leftMs: ms }
    default:
      throw new Error(`getOrLease replied with state ${state}`)
  }
}

/** What may be told to other instances of an error: its class and code. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'a value that is not an Error'
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' ? `${error.name} ${code}` : error.name
}
