/** Keys that grow: what lies above the mark was made after it was taken, whoever made it. */

const WHOLE_NUMBER = /^-?\d+$/

/** Whether `key` lies above `mark`: whole numbers by value, all else by its UTF-16 units (ULID, UUIDv7). */
export function isAbove(key: string, mark: string): boolean {
  if (!WHOLE_NUMBER.test(key) || !WHOLE_NUMBER.test(mark)) return key > mark
  const negative = key.startsWith('-')
  if (negative !== mark.startsWith('-')) return !negative
  if (key.length !== mark.length) return key.length > mark.length !== negative
  return negative ? key < mark : key > mark
}
