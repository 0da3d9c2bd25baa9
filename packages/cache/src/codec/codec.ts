/**
 * How a value travels: its bytes behind a header, so that "absent" is a fact of its own and never confused with a value.
 * The header is written by the scripts (redis/lua.ts) and read in header.ts.
 */

import { promisify } from 'node:util'
import { deflateRaw, inflateRaw } from 'node:zlib'
import { BreakwaterError } from '@breakwater/kernel'
import { type Header, readHeader, type Stored } from './header.js'
import type { StandardSchema } from './schema.js'
import { json, type Serializer } from './serializer.js'

const compress = promisify(deflateRaw)
const decompress = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw)

/** A few poisoned bytes must not become more than this. */
const MOST_INFLATED_BYTES = 512 * 1024 * 1024

/** A value, an absence, a value compressed. */
type EntryKind = 'V' | 'A' | 'C'

export interface EncodedEntry {
  readonly kind: EntryKind
  readonly body: string | Buffer
  /** Its length before any compression: what it weighs in memory. */
  readonly weight: number
}

export interface DecodedEntry<V> {
  /** Null: absent. */
  readonly value: V | null
  readonly weight: number
  readonly tags: readonly string[]
  /** How long the load took. */
  readonly loadMs: number
}

const ABSENT: EncodedEntry = { kind: 'A', body: '', weight: 0 }

export interface CodecOptions<V> {
  readonly serializer: Serializer
  readonly schema: StandardSchema<V> | undefined
  readonly compressAbove: number
}

export class Codec<V> {
  readonly #space: string
  readonly #options: CodecOptions<V>

  constructor(space: string, options: CodecOptions<V>) {
    this.#space = space
    this.#options = options
  }

  /** Whether values may be read as text; `undefined` is then what a compressed one decodes to. */
  get readsText(): boolean {
    return this.#options.serializer === json
  }

  /** @throws {BreakwaterError} kind `usage`, code `CACHE_VALUE_INVALID`, for what cannot be kept; nothing has been stored then. */
  encode(value: V | null): EncodedEntry {
    if (value === null) return ABSENT
    if (value === undefined) throw this.#invalid('a loader resolved to undefined; return null for what does not exist')
    try {
      const bytes = this.#options.serializer.serialize(value)
      const body = typeof bytes === 'string' ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      return { kind: 'V', body, weight: body.length }
    } catch (cause) {
      throw this.#invalid(`a value of type ${typeof value} cannot be serialized`, cause)
    }
  }

  /** Returns the entry as it is to be sent: compressed if it is long, and shorter so. */
  async pack(entry: EncodedEntry): Promise<EncodedEntry> {
    if (entry.weight <= this.#options.compressAbove) return entry
    const body = await compress(entry.body)
    return body.length < Buffer.byteLength(entry.body) ? { kind: 'C', body, weight: entry.weight } : entry
  }

  /** What stands beside the body: who can read it, and the tags. */
  meta(tags: readonly string[]): string {
    const { name } = this.#options.serializer
    return name === '' && tags.length === 0 ? '' : `${name}|${tags.join()}`
  }

  /** Returns what was stored, or `undefined` for bytes that are no value of this space. */
  decode(
    stored: Stored,
    header: Header | undefined = readHeader(stored),
  ): DecodedEntry<V> | undefined | Promise<DecodedEntry<V> | undefined> {
    if (header === undefined) return undefined
    const { kind, tags, loadMs } = header
    if (kind === 'A') return { value: null, weight: 0, tags, loadMs }
    if (header.serializer !== this.#options.serializer.name) return undefined
    const body = typeof stored === 'string' ? stored.slice(header.length) : stored.subarray(header.length)
    if (kind === 'V') return this.#read(body, header)
    if (kind !== 'C' || typeof body === 'string') return undefined
    return decompress(body, { maxOutputLength: MOST_INFLATED_BYTES }).then(
      inflated => this.#read(inflated, header),
      () => undefined,
    )
  }

  #read(body: Stored, { tags, loadMs }: Header): DecodedEntry<V> | undefined | Promise<DecodedEntry<V> | undefined> {
    let value: unknown
    try {
      value = typeof body === 'string' ? JSON.parse(body) : this.#options.serializer.deserialize(body)
    } catch {
      return undefined
    }
    const { schema } = this.#options
    const weight = body.length
    if (schema === undefined) return { value: value as V, weight, tags, loadMs }
    return this.#checked(value, schema).then(
      checked => checked && { value: checked.value, weight, tags, loadMs },
      () => undefined,
    )
  }

  async #checked(value: unknown, schema: StandardSchema<V>): Promise<{ readonly value: V } | undefined> {
    const result = await schema['~standard'].validate(value)
    return result.issues === undefined ? result : undefined
  }

  #invalid(problem: string, cause?: unknown): BreakwaterError {
    return new BreakwaterError('usage', 'CACHE_VALUE_INVALID', `space "${this.#space}": ${problem}`, { cause })
  }
}
