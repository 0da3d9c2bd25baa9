/**
 * The shared truth of a guard, in Redis: a header that says which bits count and whether they are complete, and the bits.
 * Header and bits are always read in one script, and whatever does not match (no header, another epoch, bits evicted or
 * of another length) is "unknown", never "does not exist".
 *
 *   header      hash: epoch, state (building | ready), size, hashes, version, entries
 *   bits:<e>    the bits of epoch e; every add goes here from the moment that the header names e
 *   scan:<e>    what the builder of e has read from the table, merged into bits:<e> when it is complete
 *   build       token of the one that builds; ends by itself when that one dies
 */

import { randomBytes } from 'node:crypto'
import type { KeyLayout } from '../keys.js'
import { type RedisClient, Script } from '../redis/client.js'
import type { Shard } from '../redis/shards.js'
import { byteLengthOf, Filter, type FilterShape, redisOffsets } from './filter.js'
import { HASH_VERSION } from './hashing.js'

/** How long a builder may be silent before another takes over; it renews at a third of this. */
export const BUILD_LEASE_MS = 10_000
/** Unfinished bits of a builder that died go by themselves. */
const UNFINISHED_MS = 3_600_000
/** Uploaded and fetched in pieces of this size, so that no single command holds Redis up for long. */
const PIECE_BYTES = 256 * 1024

/** KEYS header, bits, build; ARGV epoch, size, hashes, version, last byte's index, lease ms. Replies 1 to the one builder. */
const begin = new Script(`
if not redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[6]) then return 0 end
redis.call('SETRANGE', KEYS[2], ARGV[5], '\\0')
redis.call('PEXPIRE', KEYS[2], ${UNFINISHED_MS})
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'state', 'building', 'size', ARGV[2], 'hashes', ARGV[3], 'version', ARGV[4], 'entries', 0)
return 1`)

/** KEYS build; ARGV epoch, lease ms. */
const renewBuild = new Script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`)

/** KEYS build; ARGV epoch. */
const abandonBuild = new Script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`)

/** KEYS header, bits, build, scan; ARGV epoch, bytes, entries. Replies 1 if the epoch is ready now. */
const finish = new Script(`
if redis.call('GET', KEYS[3]) ~= ARGV[1] or redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
local bytes = tonumber(ARGV[2])
if redis.call('STRLEN', KEYS[2]) ~= bytes or redis.call('STRLEN', KEYS[4]) ~= bytes then return 0 end
redis.call('BITOP', 'OR', KEYS[2], KEYS[2], KEYS[4])
redis.call('PERSIST', KEYS[2])
redis.call('DEL', KEYS[4], KEYS[3])
redis.call('HSET', KEYS[1], 'state', 'ready', 'entries', ARGV[3])
return 1`)

/** KEYS header, bits; ARGV epoch, bytes, offsets. Replies 1 maybe, 0 no, -1 unknown. */
const check = new Script(`
local header = redis.call('HMGET', KEYS[1], 'epoch', 'state')
if header[1] ~= ARGV[1] or header[2] ~= 'ready' or redis.call('STRLEN', KEYS[2]) ~= tonumber(ARGV[2]) then return -1 end
for i = 3, #ARGV do
  if redis.call('GETBIT', KEYS[2], ARGV[i]) == 0 then return 0 end
end
return 1`)

/**
 * Sets a key's bits: KEYS header, bits; ARGV epoch, offsets. Replies 1, or 0 if the header names another epoch or none that
 * we understand, while we thought of one: nothing was done then.
 */
const addBits = new Script(`
local header = redis.call('HMGET', KEYS[1], 'epoch', 'version')
local epoch = header[1] and header[2] == '${HASH_VERSION}' and header[1] or ''
if epoch ~= ARGV[1] then return 0 end
for i = 2, #ARGV do redis.call('SETBIT', KEYS[2], ARGV[i], 1) end
return 1`)

/** What the header says of the bits that count. Whoever finds them takes over their shape, whatever its own would be. */
export interface SharedHeader {
  readonly epoch: string
  readonly shape: FilterShape
  readonly ready: boolean
}

export class SharedBits {
  readonly #redis: RedisClient
  readonly #layout: KeyLayout
  readonly #space: string
  readonly #header: string
  readonly #build: string

  constructor({ redis, layout }: Shard, space: string) {
    this.#redis = redis
    this.#layout = layout
    this.#space = space
    this.#header = layout.guard(space, 'header')
    this.#build = layout.guard(space, 'build')
  }

  /** Returns the header, or `undefined` if there is none that we understand. */
  async look(): Promise<SharedHeader | undefined> {
    const fields = (await this.#redis.command('hmget', [
      this.#header,
      'epoch',
      'state',
      'size',
      'hashes',
      'version',
    ])) as (Buffer | null)[]
    const [epoch, state, size, hashes, version] = fields.map(field => field?.toString())
    const shape = { size: Number(size), hashes: Number(hashes) }
    if (epoch === undefined || Number(version) !== HASH_VERSION || !(shape.size > 0 && shape.hashes > 0))
      return undefined
    return { epoch, shape, ready: state === 'ready' }
  }

  /** Opens a new epoch for this process to fill, or replies `undefined` while another one builds. From now on adds go to it. */
  async begin(shape: FilterShape): Promise<string | undefined> {
    const epoch = randomBytes(9).toString('base64url')
    const keys = [this.#header, this.#bits(epoch), this.#build]
    const args = [epoch, shape.size, shape.hashes, HASH_VERSION, byteLengthOf(shape) - 1, BUILD_LEASE_MS]
    return (await this.#redis.run(begin, keys, args)) === 1 ? epoch : undefined
  }

  /** Prolongs the right to build; false if it is lost. */
  async renew(epoch: string): Promise<boolean> {
    return (await this.#redis.run(renewBuild, [this.#build], [epoch, BUILD_LEASE_MS])) === 1
  }

  /** Adds what was scanned to what was added meanwhile, and declares the epoch ready; false if the right to build was lost. */
  async finish(epoch: string, scanned: Filter, entries: number): Promise<boolean> {
    const scan = this.#layout.guard(this.#space, `scan:${epoch}`)
    const bytes = scanned.toBytes()
    for (let offset = 0; offset < bytes.length; offset += PIECE_BYTES) {
      await this.#redis.command('setrange', [scan, offset, bytes.subarray(offset, offset + PIECE_BYTES)])
    }
    await this.#redis.command('pexpire', [scan, UNFINISHED_MS])
    const keys = [this.#header, this.#bits(epoch), this.#build, scan]
    return (await this.#redis.run(finish, keys, [epoch, bytes.length, entries])) === 1
  }

  /** Gives the right to build up, after a scan that failed. */
  async abandon(epoch: string): Promise<void> {
    await this.#redis.run(abandonBuild, [this.#build], [epoch])
  }

  /** Returns a filter with the bits of `header`, or `undefined` if they are not whole. */
  async fetch(header: SharedHeader): Promise<Filter | undefined> {
    const length = byteLengthOf(header.shape)
    const pieces: Buffer[] = []
    for (let offset = 0; offset < length; offset += PIECE_BYTES) {
      const end = Math.min(offset + PIECE_BYTES, length) - 1
      pieces.push((await this.#redis.command('getrange', [this.#bits(header.epoch), offset, end])) as Buffer)
    }
    const bytes = Buffer.concat(pieces)
    if (bytes.length !== length) return undefined
    const filter = new Filter(header.shape)
    filter.merge(bytes)
    return filter
  }

  async check(key: string, header: SharedHeader): Promise<'maybe' | 'no' | 'unknown'> {
    const { epoch, shape } = header
    const args = [epoch, byteLengthOf(shape), ...redisOffsets(key, shape)]
    const reply = await this.#redis.run(check, [this.#header, this.#bits(epoch)], args)
    return reply === 1 ? 'maybe' : reply === 0 ? 'no' : 'unknown'
  }

  /** Sets a key's bits in whichever epoch counts, `known` or a newer one, which is returned. Rejects if Redis does not acknowledge it. */
  async add(key: string, known: SharedHeader | undefined): Promise<SharedHeader | undefined> {
    let header = known
    for (;;) {
      const epoch = header?.epoch ?? ''
      const offsets = header === undefined ? [] : redisOffsets(key, header.shape)
      if ((await this.#redis.run(addBits, [this.#header, this.#bits(epoch)], [epoch, ...offsets])) === 1) return header
      header = await this.look()
    }
  }

  #bits(epoch: string): string {
    return this.#layout.guard(this.#space, `bits:${epoch}`)
  }
}
