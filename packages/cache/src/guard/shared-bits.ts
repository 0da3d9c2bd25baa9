/**
 * The shared truth of a guard, in Redis: a header that says which bits count and whether they are complete, and the bits,
 * in chunks. Header and bits are always read in one script, and whatever does not match (no header, another epoch, a server
 * with another history, a chunk evicted or of another length) is "unknown", never "does not exist".
 *
 *   header       see guard-scripts.ts
 *   <e>:<n>      the nth chunk of epoch e
 *   build        the epoch that is being built, as long as its builder lives
 */

import { randomBytes } from 'node:crypto'
import type { KeyLayout } from '../keys.js'
import type { RedisClient } from '../redis/client.js'
import type { RedisArgument } from '../redis/redis-like.js'
import type { Shard } from '../redis/shards.js'
import { CHUNK_BITS, chunkCountOf, chunkLengthOf, Filter, type FilterShape, redisOffsets } from './filter.js'
import * as scripts from './guard-scripts.js'

/** How long a builder may be silent before another takes over; it renews at a third of this. */
export const BUILD_LEASE_MS = 10_000
/** Unfinished bits of a builder that died go by themselves. */
const UNFINISHED_MS = 3_600_000
/** A chunk's way to Redis is tried this often. */
const MERGE_TRIES = 3

/** A set of bits. */
export interface Epoch {
  readonly id: string
  readonly shape: FilterShape
}

/** What the header says. */
export interface Header {
  /** `none`: there is none. `foreign`: it is of another history or another version, so it counts for nothing. */
  readonly state: 'none' | 'foreign' | 'building' | 'ready' | 'suspect'
  /** The server's time. */
  readonly now: number
  /** The bits that answers come from. */
  readonly epoch: Epoch | undefined
  /** The bits being filled beside them. */
  readonly next: Epoch | undefined
  /** Adds counted so far. */
  readonly sequence: number
  /** Keys in the epoch's bits. */
  readonly entries: number
  readonly ageMs: number
  /** Keys above it are not told from keys that exist. */
  readonly highWater: string | undefined
  /** For how long an instance has not been heard of that did not take its leave; negative: there is none. */
  readonly lapsedMs: number
  /** Whether some instance builds. */
  readonly building: boolean
}

/** The answers for keys, and whether the copy may be believed from now on, once it has heard of `sequence`. */
export interface Checked {
  readonly maybe: readonly boolean[]
  readonly granted: boolean
  readonly sequence: number
}

/** An add as its history counts it. */
export interface AddId {
  readonly history: string
  readonly sequence: number
}

export type Recorded =
  | {
      readonly as: 'recorded'
      readonly add: AddId
      /** That are believed, and have to hear of it. */
      readonly copies: number
      /** For how long copies of an earlier history may be believed. */
      readonly distrustMs: number
    }
  /** There is no header: nothing answers, and whoever builds waits for the transaction that adds. */
  | { readonly as: 'none' }

type RawHeader = [now: number, state: Header['state'], ...rest: (string | number)[]]

export class SharedBits {
  readonly #redis: RedisClient
  readonly #layout: KeyLayout
  readonly #space: string
  readonly #instance: string
  readonly #wakeChannel: string
  readonly #header: string
  readonly #build: string

  /** @param wakeChannel where this instance is told that copies have heard of adds. */
  constructor(shard: Shard, space: string, instance: string, wakeChannel: string) {
    this.#redis = shard.redis
    this.#layout = shard.layout
    this.#space = space
    this.#instance = instance
    this.#wakeChannel = wakeChannel
    this.#header = shard.layout.guard(space, 'header')
    this.#build = shard.layout.guard(space, 'build')
  }

  /** Reads the header. With `stay`, lets the others know that this instance is there, for `stayMs` and not past `until`. */
  async beat(stay: boolean, until: number | undefined, stayMs: number): Promise<Header> {
    const args = [this.#instance, stay ? 1 : 0, until ?? '', stayMs]
    return readHeader((await this.#redis.run(scripts.beat, [this.#header, this.#build], args)) as RawHeader)
  }

  /** Reads the header. */
  look(): Promise<Header> {
    return this.beat(false, undefined, 0)
  }

  /**
   * Asks for keys; `undefined` if the epoch does not answer any more. With `heard`, also asks to be believed for `trustMs`.
   */
  async check(
    keys: readonly string[],
    epoch: Epoch,
    heard: number | undefined,
    trustMs: number,
  ): Promise<Checked | undefined> {
    const places = this.#places(epoch, keys)
    const reply = (await this.#redis.run(
      scripts.check,
      [this.#header, ...places.chunks],
      [this.#instance, epoch.id, heard ?? '', trustMs, epoch.shape.hashes, ...places.lengths, ...places.positions],
    )) as [number, string, string]
    if (reply[0] === -1) return undefined
    return { maybe: [...reply[2]].map(bit => bit === '1'), granted: reply[0] === 1, sequence: Number(reply[1]) }
  }

  /** Records a key in every epoch that counts or will. Rejects if Redis does not acknowledge it. */
  async add(key: string, known: Header | undefined): Promise<Recorded> {
    let header = known
    const [state, log] = this.#layout.control()
    for (;;) {
      const epoch = this.#places(header?.epoch, [key])
      const next = this.#places(header?.next, [key])
      const reply = (await this.#redis.run(
        scripts.add,
        [this.#header, log, state, ...epoch.chunks, ...next.chunks],
        [
          ...[this.#instance, this.#wakeChannel, this.#space, key, header?.epoch?.id ?? '', header?.next?.id ?? ''],
          ...[epoch.chunks.length, next.chunks.length, epoch.positions.length, next.positions.length],
          ...[...epoch.lengths, ...next.lengths, ...epoch.positions, ...next.positions],
        ],
      )) as [Recorded['as'] | 'moved', string, number, number, string]
      const [as, sequence, copies, distrustMs, history] = reply
      if (as === 'recorded') return { as, add: { history, sequence: Number(sequence) }, copies, distrustMs }
      if (as === 'none') return { as }
      header = await this.look()
    }
  }

  /** Returns the last add of which every other copy has heard that is believed; `undefined` if nobody knows. */
  async leastHeard(): Promise<AddId | undefined> {
    const reply = await this.#redis.run(scripts.leastHeard, [this.#header], [this.#instance])
    const [history, least] = reply as string[]
    return history === undefined ? undefined : { history, sequence: Number(least) }
  }

  /** Says what this instance's copy has heard of, for those who wait for it. */
  async hear(sequence: number): Promise<void> {
    await this.#redis.run(scripts.hear, [this.#header], [this.#instance, sequence, this.#space])
  }

  /** This instance goes, and has nothing left to tell. */
  async leave(): Promise<void> {
    await this.#redis.run(scripts.leave, [this.#header], [this.#instance])
  }

  /** The epoch's bits are wrong: nobody may believe them. */
  async suspect(epoch: Epoch): Promise<void> {
    await this.#redis.run(scripts.suspect, [this.#header], [epoch.id])
  }

  /** Returns a filter with the bits of an epoch, or `undefined` if they are not whole. */
  async fetch({ id, shape }: Epoch): Promise<Filter | undefined> {
    const filter = new Filter(shape)
    for (let index = 0; index < chunkCountOf(shape); index++) {
      const bytes = (await this.#redis.command('get', [this.#chunk(id, index)])) as Buffer | null
      if (bytes?.length !== chunkLengthOf(shape, index)) return undefined
      filter.setChunk(index, bytes)
    }
    return filter
  }

  /**
   * Opens a new epoch for this process to fill in the place of `replaced`, or replies `undefined` while another one builds, or
   * has built. From now on adds go to it.
   */
  async begin(
    shape: FilterShape,
    replaced: Epoch | undefined,
    trustMs: number,
    forgetMs: number,
  ): Promise<Epoch | undefined> {
    const id = randomBytes(9).toString('base64url')
    for (let index = 0; index < chunkCountOf(shape); index++) {
      await this.#redis.run(scripts.makeChunk, [this.#chunk(id, index)], [chunkLengthOf(shape, index), UNFINISHED_MS])
    }
    const args = [id, shape.size, shape.hashes, BUILD_LEASE_MS, trustMs, forgetMs, replaced?.id ?? '']
    if ((await this.#redis.run(scripts.begin, [this.#header, this.#build], args)) === 1) return { id, shape }
    await this.remove({ id, shape })
    return undefined
  }

  /** Prolongs the right to build; false if it is lost. */
  async renew(epoch: Epoch): Promise<boolean> {
    return (await this.#redis.run(scripts.renewBuild, [this.#build], [epoch.id, BUILD_LEASE_MS])) === 1
  }

  /** Adds what was scanned to what was added meanwhile, and makes the epoch the one that answers; false if the right to build was lost. */
  async finish(epoch: Epoch, scanned: Filter, entries: number, highWater: string | undefined): Promise<boolean> {
    const count = chunkCountOf(epoch.shape)
    const chunks = Array.from({ length: count }, (_, index) => this.#chunk(epoch.id, index))
    const between = this.#layout.guard(this.#space, `${epoch.id}:merge`)
    for (const [index, chunk] of chunks.entries()) {
      const { buffer, byteOffset, byteLength } = scanned.chunk(index)
      const args = [epoch.id, Buffer.from(buffer, byteOffset, byteLength)]
      const merged = await persist(MERGE_TRIES, () =>
        this.#redis.run(scripts.mergeChunk, [this.#build, chunk, between], args),
      )
      if (merged !== 1) return false
    }
    const lengths = chunks.map((_, index) => chunkLengthOf(epoch.shape, index))
    const args = [epoch.id, entries, highWater ?? '', ...lengths]
    return (await this.#redis.run(scripts.finish, [this.#header, this.#build, ...chunks], args)) === 1
  }

  /** Gives the right to build up, after a scan that failed. */
  async abandon(epoch: Epoch): Promise<void> {
    await this.#redis.run(scripts.abandonBuild, [this.#header, this.#build], [epoch.id])
    await this.remove(epoch)
  }

  /** Frees the memory of an epoch that nobody asks any more. */
  async remove({ id, shape }: Epoch): Promise<void> {
    for (let index = 0; index < chunkCountOf(shape); index++) {
      await this.#redis.command('unlink', [this.#chunk(id, index)])
    }
  }

  #chunk(epoch: string, index: number): string {
    return this.#layout.guard(this.#space, `${epoch}:${index}`)
  }

  /** Where the bits of keys lie: the chunks that are touched, their lengths, and the positions, counted through those chunks. */
  #places(
    epoch: Epoch | undefined,
    keys: readonly string[],
  ): { chunks: string[]; lengths: number[]; positions: RedisArgument[] } {
    const chunks: string[] = []
    const lengths: number[] = []
    const positions: number[] = []
    if (epoch === undefined) return { chunks, lengths, positions }
    const placeOf = new Map<number, number>()
    for (const key of keys) {
      for (const offset of redisOffsets(key, epoch.shape)) {
        const index = Math.floor(offset / CHUNK_BITS)
        let place = placeOf.get(index)
        if (place === undefined) {
          place = chunks.length
          placeOf.set(index, place)
          chunks.push(this.#chunk(epoch.id, index))
          lengths.push(chunkLengthOf(epoch.shape, index))
        }
        positions.push(place * CHUNK_BITS + (offset % CHUNK_BITS))
      }
    }
    return { chunks, lengths, positions }
  }
}

function readHeader(reply: RawHeader): Header {
  const [
    now,
    state,
    epoch,
    size,
    hashes,
    sequence,
    entries,
    age,
    highWater,
    next,
    nextSize,
    nextHashes,
    lapsed,
    build,
  ] = reply
  return {
    state,
    now,
    epoch: epochOf(epoch, size, hashes),
    next: epochOf(next, nextSize, nextHashes),
    sequence: Number(sequence ?? 0),
    entries: Number(entries ?? 0),
    ageMs: Number(age ?? 0),
    highWater: highWater ? String(highWater) : undefined,
    lapsedMs: Number(lapsed ?? -1),
    building: build === 1,
  }
}

function epochOf(
  id: string | number | undefined,
  size: string | number | undefined,
  hashes: string | number | undefined,
): Epoch | undefined {
  return id ? { id: String(id), shape: { size: Number(size), hashes: Number(hashes) } } : undefined
}

async function persist<T>(tries: number, attempt: () => Promise<T>): Promise<T> {
  for (let left = tries; ; left--) {
    try {
      return await attempt()
    } catch (error) {
      if (left <= 1) throw error
    }
  }
}
