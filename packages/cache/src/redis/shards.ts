/**
 * The parts that the keys of a namespace fall into. A shard is a whole protocol by itself: its values, their leases, its log
 * and its state share a hash tag, and every script touches one shard only. A single server, with Sentinels
 * or without, has one shard. A Cluster has twelve, whose slots lie evenly over all slots, so that the load spreads over its
 * masters and a dead master costs its own shards only: each has its own breaker, and its log its own trust.
 */

import { KeyLayout } from '../keys.js'
import { TagLedger } from '../tags/tag-ledger.js'
import { RedisClient, type RedisClientOptions } from './client.js'
import { ownerOf } from './connections.js'
import { MarksReader } from './marks.js'
import { isCluster, type RedisLike } from './redis-like.js'
import { type Adopted, adopt } from './scripts.js'
import { type Sighting, supersedes } from './seen-server.js'

/** The one tag of a single server. */
const SINGLE: readonly Tag[] = [['0', 13_907]]
/**
 * Tags of a Cluster and the slots that they lead to: part of where things lie, so all instances of a namespace must have
 * the same. Twelve divide evenly over 3, 4, 6 and 12 masters. Each is the number below 1,000 whose slot is the nearest to
 * the middle of its twelfth.
 */
export const CLUSTER_TAGS: readonly Tag[] = [
  ['556', 672],
  ['640', 2055],
  ['230', 3408],
  ['116', 4772],
  ['200', 6147],
  ['670', 7508],
  ['620', 8865],
  ['536', 10246],
  ['146', 11601],
  ['996', 12972],
  ['176', 14338],
  ['506', 15701],
]
type Tag = readonly [text: string, slot: number]

/** Until when, on the clock, what was kept under it may be believed. */
export interface Trust {
  until: number
}

/** What memory holds of a cache without Redis needs nobody's word. */
export const UNCONDITIONAL: Trust = { until: Number.POSITIVE_INFINITY }

export class Shard {
  /** Its place among the shards. */
  readonly index: number
  readonly slot: number
  readonly layout: KeyLayout
  readonly redis: RedisClient
  /** Moved on by the follower of the shard's log. */
  trust: Trust = { until: 0 }
  readonly marks: MarksReader = new MarksReader()
  /** Fed by the same follower. */
  readonly tags: TagLedger = new TagLedger()
  /** Where its log is followed. */
  followed: Sighting | undefined

  constructor(index: number, slot: number, layout: KeyLayout, redis: RedisClient) {
    this.index = index
    this.slot = slot
    this.layout = layout
    this.redis = redis
  }

  /** What was kept of this shard so far is never believed again. */
  revoke(): void {
    this.trust.until = Number.NEGATIVE_INFINITY
    this.trust = { until: 0 }
  }
}

export class Shards {
  readonly all: readonly Shard[]
  /** A plain read asks a master, as scripts always do. */
  readonly readsMasters: boolean

  readonly #raw: RedisLike
  readonly #onDisconnected = (): void => {
    for (const { redis } of this.all) redis.disconnected()
  }
  readonly #onReady = (): void => {
    for (const { redis } of this.all) redis.reconnected()
  }

  constructor(
    raw: RedisLike,
    namespace: string,
    options: Pick<RedisClientOptions, 'clock' | 'timeoutMs' | 'outboxSize' | 'replicas'>,
  ) {
    this.#raw = raw
    this.readsMasters = !isCluster(raw) || (raw.options.scaleReads ?? 'master') === 'master'
    this.all = (isCluster(raw) ? CLUSTER_TAGS : SINGLE).map(([tag, slot], index) => {
      const layout = new KeyLayout(namespace, tag)
      const client = new RedisClient(raw, {
        ...options,
        owner: () => (isCluster(raw) ? ownerOf(raw, slot) : raw),
        route: () => (isCluster(raw) ? raw.slots[slot]?.[0] : ''),
        adopt: async tell => (await tell(adopt, layout.control(), [])) as Adopted,
        hasSuccessor: seen => supersedes(shard.followed, seen),
      })
      const shard = new Shard(index, slot, layout, client)
      return shard
    })
    raw.on('close', this.#onDisconnected)
    raw.on('-node', this.#onDisconnected)
    raw.on('ready', this.#onReady)
  }

  dispose(): void {
    this.#raw.off('close', this.#onDisconnected)
    this.#raw.off('-node', this.#onDisconnected)
    this.#raw.off('ready', this.#onReady)
    for (const { redis } of this.all) redis.dispose()
  }

  /** The shard of a key; without a key that of the space itself. */
  of(space: string, key = ''): Shard {
    const index = this.all.length === 1 ? 0 : hash(`${space}:${key}`) % this.all.length
    return this.all[index] as Shard
  }
}

/** FNV-1a over UTF-16 units, with MurmurHash3's finalizer. Part of where things lie, like the tags. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
