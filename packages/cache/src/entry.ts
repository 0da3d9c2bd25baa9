/** How a value travels: as JSON behind a kind, so that "absent" is a fact of its own and never confused with a value. */

import { BreakwaterError } from '@breakwater/kernel'
import { HEADER_LENGTH } from './redis/scripts.js'

type EntryKind = 'V' | 'A'

export interface EncodedEntry {
  readonly kind: EntryKind
  readonly body: string
}

const ABSENT: EncodedEntry = { kind: 'A', body: '' }

/** @throws {BreakwaterError} kind `usage`, code `CACHE_VALUE_INVALID`, for what JSON cannot hold; nothing has been stored then. */
export function encodeEntry(value: unknown, space: string): EncodedEntry {
  if (value === null) return ABSENT
  let body: string | undefined
  let cause: unknown
  try {
    body = JSON.stringify(value)
  } catch (error) {
    cause = error
  }
  if (body === undefined) {
    throw new BreakwaterError(
      'usage',
      'CACHE_VALUE_INVALID',
      value === undefined
        ? `space "${space}": a loader resolved to undefined; return null for what does not exist`
        : `space "${space}": a value of type ${typeof value} cannot be kept as JSON`,
      { cause },
    )
  }
  return { kind: 'V', body }
}

/** Returns the value (null: absent), or `undefined` for text that is not an entry. */
export function decodeEntry<V>(stored: string): { value: V | null; bodyLength: number } | undefined {
  const bodyLength = stored.length - HEADER_LENGTH
  if (stored[1] === 'A') return { value: null, bodyLength }
  if (stored[1] !== 'V') return undefined
  try {
    return { value: JSON.parse(stored.slice(HEADER_LENGTH)), bodyLength }
  } catch {
    return undefined
  }
}
