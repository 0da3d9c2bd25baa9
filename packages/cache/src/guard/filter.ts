/**
 * The filter itself: the structure and the sizing of bloom-filters, with our hashing assigned. The one door to bloom-filters.
 *
 * Its bits are cut into chunks, which is how they lie in Redis: no command there holds the server up for long, and none
 * here the event loop.
 */

import bloomFilters from 'bloom-filters'
import { positionsOf } from './hashing.js'

/** What has to be equal for two filters' bits to mean the same. */
export interface FilterShape {
  /** Bits. */
  readonly size: number
  /** Hashes a key. */
  readonly hashes: number
}

const CHUNK_BYTES = 256 * 1024
export const CHUNK_BITS: number = CHUNK_BYTES * 8

/** Returns the smallest shape that keeps the error rate at `expected` keys. Sources: bloom-filters' formulas (Bloom, 1970). */
export function shapeFor(expected: number, errorRate: number): FilterShape {
  const { size, _nbHashes: hashes } = bloomFilters.BloomFilter.create(expected, errorRate) as unknown as {
    size: number
    _nbHashes: number
  }
  return { size, hashes }
}

/** Returns the part of absent keys that a filter with `entries` keys lets through. Source: Bloom, 1970. */
export function errorRateOf({ size, hashes }: FilterShape, entries: number): number {
  return (1 - Math.exp((-hashes * entries) / size)) ** hashes
}

export function chunkCountOf(shape: FilterShape): number {
  return Math.ceil(byteLengthOf(shape) / CHUNK_BYTES)
}

export function chunkLengthOf(shape: FilterShape, index: number): number {
  return Math.min(CHUNK_BYTES, byteLengthOf(shape) - index * CHUNK_BYTES)
}

/** Parts of bloom-filters that its types hide and that we build on; a test fails if they change. */
interface Internals {
  _hashing: { getIndexes(key: string, size: number): number[] }
  _filter: { array: Uint8Array }
}

export class Filter {
  readonly shape: FilterShape
  readonly #filter: InstanceType<typeof bloomFilters.BloomFilter>
  readonly #scratch: number[]

  constructor(shape: FilterShape) {
    this.shape = shape
    this.#filter = new bloomFilters.BloomFilter(shape.size, shape.hashes)
    this.#scratch = new Array<number>(shape.hashes).fill(0)
    const hidden = this.#filter as unknown as Internals
    hidden._hashing = { getIndexes: (key, size) => positionsOf(key, size, this.#scratch) }
  }

  add(key: string): void {
    this.#filter.add(key)
  }

  has(key: string): boolean {
    return this.#filter.has(key)
  }

  /** Returns a view of one chunk's bytes: what lies in Redis, and all there is to export. */
  chunk(index: number): Uint8Array {
    const start = index * CHUNK_BYTES
    return (this.#filter as unknown as Internals)._filter.array.subarray(start, start + CHUNK_BYTES)
  }

  /** Takes one chunk of a filter of the same shape in the place of its own. */
  setChunk(index: number, bytes: Uint8Array): void {
    this.chunk(index).set(bytes)
  }
}

/** Returns where a key's bits lie as Redis's GETBIT counts them, from a byte's highest bit down; the structure counts up. */
export function redisOffsets(key: string, shape: FilterShape): number[] {
  return positionsOf(key, shape.size, new Array<number>(shape.hashes).fill(0)).map(position => position ^ 7)
}

/** Returns how many bytes the bits of a shape take. */
export function byteLengthOf(shape: FilterShape): number {
  return Math.ceil(shape.size / 8)
}
