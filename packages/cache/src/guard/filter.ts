/**
 * The filter itself: the structure and the sizing of bloom-filters, with our hashing assigned. The one door to bloom-filters.
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

/** Returns the smallest shape that keeps the error rate at `expected` keys. Sources: bloom-filters' formulas (Bloom, 1970). */
export function shapeFor(expected: number, errorRate: number): FilterShape {
  const { size, _nbHashes: hashes } = bloomFilters.BloomFilter.create(expected, errorRate) as unknown as {
    size: number
    _nbHashes: number
  }
  return { size, hashes }
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

  /** Returns a copy of the bits. */
  toBytes(): Buffer {
    return Buffer.from(this.#bytes)
  }

  /** Adds all keys of a filter of the same shape, given as `toBytes()` wrote it. */
  merge(bytes: Uint8Array): void {
    const own = this.#bytes
    for (let i = 0; i < own.length; i++) own[i] = (own[i] as number) | (bytes[i] as number)
  }

  get #bytes(): Uint8Array {
    return (this.#filter as unknown as Internals)._filter.array
  }
}

/** Returns the offsets of a key's bits as Redis's GETBIT counts them, from a byte's highest bit down; the structure counts up. */
export function redisOffsets(key: string, shape: FilterShape): number[] {
  return positionsOf(key, shape.size, new Array<number>(shape.hashes).fill(0)).map(position => position ^ 7)
}

/** Returns how many bytes the bits of a shape take. */
export function byteLengthOf(shape: FilterShape): number {
  return Math.ceil(shape.size / 8)
}
