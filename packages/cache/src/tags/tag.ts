/** Turns a caller's tags into the form in which they are stored, told and compared: no character of them can end one. */

import { BreakwaterError } from '@breakwater/kernel'

/** Longest tag, in UTF-16 units. */
const MAX_TAG_LENGTH = 256
/** Longest text of all tags of a value. Source: four digits in the stored form, less a serializer's name. */
const MAX_TAGS_LENGTH = 9_900

/** @throws {BreakwaterError} kind `usage`, code `CACHE_TAG_INVALID`. */
export function encodeTag(tag: string): string {
  if (typeof tag !== 'string' || tag === '' || tag.length > MAX_TAG_LENGTH) {
    throw invalid(`must be a string of 1 to ${MAX_TAG_LENGTH} characters`)
  }
  try {
    return encodeURIComponent(tag)
  } catch {
    throw invalid('must be well-formed Unicode')
  }
}

/**
 * Returns each of `tags` once.
 *
 * @throws {BreakwaterError} kind `usage`, code `CACHE_TAG_INVALID`.
 */
export function encodeTags(tags: readonly string[]): readonly string[] {
  if (!Array.isArray(tags)) throw invalid('must come in an array')
  const encoded = [...new Set(tags.map(encodeTag))]
  if (encoded.join().length > MAX_TAGS_LENGTH) throw invalid(`must together not exceed ${MAX_TAGS_LENGTH} characters`)
  return encoded
}

function invalid(problem: string): BreakwaterError {
  return new BreakwaterError('usage', 'CACHE_TAG_INVALID', `a tag ${problem}`)
}
