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
import { APPEND_TO_LOG, WAKE } from '../redis/scripts.js'
import type { Filter, FilterShape } from './filter.js'
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
 * Sets a key's bits, and drops what the cache knows of the key: KEYS header, bits, waiters, log, sequence, value, lease;
 * ARGV wake message, epoch, offsets. Replies the header's epoch if it is another one ('' for no header): nothing was
 * done then; else 1.
 */
const addBits = new Script(`
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if (epoch or '') ~= ARGV[2] then return epoch or '' end
if epoch then
  for i = 3, #ARGV do redis.call('SETBIT', KEYS[2], ARGV[i], 1) end
end
redis.call('DEL', KEYS[6], KEYS[7])
${WAKE}
${APPEND_TO_LOG}
return 1`)

export interface SharedHeader {
  readonly epoch: string
  readonly ready: boolean
  /** The bits mean the same to us: same shape, same hashing. */
  readonly matches: boolean
}

export class SharedBits {
  readonly #redis: RedisClient
  readonly #layout: KeyLayout
  readonly #space: string
  readonly #shape: FilterShape
  readonly #bytes: number
  readonly #header: string
  readonly #build: string

  constructor(redis: RedisClient, layout: KeyLayout, space: string, shape: FilterShape, bytes: number) {
    this.#redis = redis
    this.#layout = layout
    this.#space = space
    this.#shape = shape
    this.#bytes = bytes
    this.#header = layout.guard(space, 'header')
    this.#build = layout.guard(space, 'build')
  }

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
    if (epoch === undefined) return undefined
    const { size: ownSize, hashes: ownHashes } = this.#shape
    return {
      epoch,
      ready: state === 'ready',
      matches: Number(size) === ownSize && Number(hashes) === ownHashes && Number(version) === HASH_VERSION,
    }
  }

  /** Opens a new epoch for this process to fill, or replies `undefined` while another one builds. From now on adds go to it. */
  async begin(): Promise<string | undefined> {
    const epoch = randomBytes(9).toString('base64url')
    const { size, hashes } = this.#shape
    const keys = [this.#header, this.#bits(epoch), this.#build]
    const won = await this.#redis.run(begin, keys, [epoch, size, hashes, HASH_VERSION, this.#bytes - 1, BUILD_LEASE_MS])
    return won === 1 ? epoch : undefined
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
    return (await this.#redis.run(finish, keys, [epoch, this.#bytes, entries])) === 1
  }

  /** Gives the right to build up, after a scan that failed. */
  async abandon(epoch: string): Promise<void> {
    await this.#redis.run(
      new Script(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`),
      [this.#build],
      [epoch],
    )
  }

  /** Merges the bits of `epoch` into `filter`; false if they are not whole. */
  async fetch(epoch: string, filter: Filter): Promise<boolean> {
    const pieces: Buffer[] = []
    for (let offset = 0; offset < this.#bytes; offset += PIECE_BYTES) {
      const end = Math.min(offset + PIECE_BYTES, this.#bytes) - 1
      pieces.push((await this.#redis.command('getrange', [this.#bits(epoch), offset, end])) as Buffer)
    }
    const bytes = Buffer.concat(pieces)
    if (bytes.length !== this.#bytes) return false
    filter.merge(bytes)
    return true
  }

  async check(epoch: string, offsets: readonly number[]): Promise<'maybe' | 'no' | 'unknown'> {
    const reply = await this.#redis.run(check, [this.#header, this.#bits(epoch)], [epoch, this.#bytes, ...offsets])
    return reply === 1 ? 'maybe' : reply === 0 ? 'no' : 'unknown'
  }

  /** Sets a key's bits in whichever epoch counts. Rejects if Redis does not acknowledge it. */
  async add(key: string, offsets: readonly number[], knownEpoch: string): Promise<void> {
    let epoch = knownEpoch
    for (;;) {
      const keys = [
        this.#header,
        this.#bits(epoch),
        this.#layout.waiters(this.#space, key),
        this.#layout.log(),
        this.#layout.logSequence(),
        this.#layout.value(this.#space, key),
        this.#layout.lease(this.#space, key),
      ]
      const reply = await this.#redis.run(addBits, keys, [`${this.#space}:${key}`, epoch, ...offsets])
      if (reply === 1) return
      epoch = String(reply)
    }
  }

  #bits(epoch: string): string {
    return this.#layout.guard(this.#space, `bits:${epoch}`)
  }
}
