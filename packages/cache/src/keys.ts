/** Turns a caller's key into its one canonical text, and names into Redis keys that nobody can forge. */

import { BreakwaterError } from '@breakwater/kernel'

type KeyPart = string | number | bigint
/** A key within a space: a scalar, or a tuple of scalars. */
export type CacheKey = KeyPart | readonly KeyPart[]

/** Longest canonical key, in UTF-16 units: a longer one is a mistake (a whole URL or document as a key). */
const MAX_KEY_LENGTH = 1024

function invalid(problem: string): BreakwaterError {
  return new BreakwaterError('usage', 'CACHE_KEY_INVALID', `cache key ${problem}`)
}

function encodePart(part: unknown): string {
  if (typeof part === 'string') return part
  if (typeof part === 'bigint') return part.toString()
  if (typeof part === 'number') {
    if (Number.isSafeInteger(part) || (Number.isFinite(part) && !Number.isInteger(part))) return String(part)
    throw invalid(`${part} is not a safe number: pass a bigint or a string`)
  }
  throw invalid(`must be a string, a number, a bigint or a tuple of these, not ${part === null ? 'null' : typeof part}`)
}

/**
 * Returns the canonical text of `key`. 42, 42n and '42' are one key, since drivers hand the same id out in all three
 * forms, and a guard that told them apart would deny a row that exists. A tuple never equals a scalar.
 *
 * @throws {BreakwaterError} kind `usage`, code `CACHE_KEY_INVALID`.
 */
export function encodeKey(key: CacheKey): string {
  let text: string
  if (Array.isArray(key)) {
    text = JSON.stringify(key.map(encodePart))
  } else {
    text = encodePart(key)
    const first = text.charCodeAt(0)
    // A scalar that starts like a tuple, or like this escape, is escaped; all others stand as they are.
    if (first === 0x5b /* [ */ || first === 0x27 /* ' */) text = `'${text}`
  }
  if (text.length > MAX_KEY_LENGTH) {
    throw invalid(`of ${text.length} characters is longer than ${MAX_KEY_LENGTH}: use a digest of it`)
  }
  return text
}

/** What a name of a space or a namespace may look like: nothing in it can end its own part of a Redis key. */
export const NAME_PATTERN: RegExp = /^[\w.-]{1,64}$/

/**
 * Where the things of one shard lie in Redis: `<namespace>:{<tag>}:<kind>:<space>:<key>`. All that one script touches has
 * the same hash tag, so that on Cluster no script crosses a slot; see redis/shards.ts.
 */
export class KeyLayout {
  readonly #prefix: string

  constructor(namespace: string, tag: string) {
    this.#prefix = `${namespace}:{${tag}}:`
  }

  /** Where a key's own things lie: its value; its lease, or the note that its last load failed; who waits for the lease. */
  of(space: string, key: string): [value: string, lease: string, waiters: string] {
    const tail = `${space}:${key}`
    return [this.value(space, key), `${this.#prefix}l:${tail}`, `${this.#prefix}w:${tail}`]
  }

  /** Where a key's value lies. */
  value(space: string, key: string): string {
    return `${this.#prefix}v:${space}:${key}`
  }

  /** Where that lies which values read without a script are held against. */
  get marks(): string {
    return `${this.#prefix}marks`
  }

  /** What all keys of the shard share: the hash of the protocol's state, the log of invalidations, the tags deleted, the marks. */
  control(): [state: string, log: string, tags: string, marks: string] {
    return [`${this.#prefix}state`, `${this.#prefix}log`, `${this.#prefix}tags`, this.marks]
  }

  guard(space: string, part: string): string {
    return `${this.#prefix}g:${space}:${part}`
  }
}

/** Begins, in the place of a key, a wake-up that is for the space's guard; no key begins like this. */
export const GUARD_WAKE = "'#"

/** Channel on which an instance is woken. */
export function wakeChannel(namespace: string, instance: string): string {
  return `${namespace}:wake:${instance}`
}
