/** What stands before a stored body, as the scripts have written it (redis/lua.ts). */

import { AT, FORMAT } from '../redis/lua.js'

export interface Header {
  /** One character, see `EntryKind`. */
  readonly kind: string
  /** Instants of the server. */
  readonly freshUntil: number
  readonly storedAt: number
  /** Of the state, and the log's count, before the value was read from its source. */
  readonly epoch: string
  readonly sequence: number
  readonly loadMs: number
  /** Who can read the body; '' for JSON. */
  readonly serializer: string
  readonly tags: readonly string[]
  readonly length: number
}

const EPOCH_LENGTH = 10
const NO_TAGS: readonly string[] = []

/** What was read of a value: as text where that is all that can be in it, which spares the garbage of a Buffer each. */
export type Stored = Buffer | string

/** Returns `undefined` for what no script of this version has written. */
export function readHeader(stored: Stored): Header | undefined {
  const text = typeof stored === 'string' ? stored : headOf(stored, 0, AT.meta)
  const metaLength = digits(text, AT.metaLength, AT.meta)
  const length = AT.meta + metaLength
  const freshUntil = digits(text, AT.freshUntil, AT.storedAt)
  const storedAt = digits(text, AT.storedAt, AT.stamp)
  const sequence = digits(text, AT.stamp + EPOCH_LENGTH, AT.loadMs)
  const loadMs = digits(text, AT.loadMs, AT.metaLength)
  // Not so for what is cut short or garbled: one of them is no number then.
  if (text[0] !== FORMAT || !(length <= stored.length) || Number.isNaN(freshUntil + storedAt + sequence + loadMs)) {
    return undefined
  }
  const [serializer = '', tags = ''] = metaLength === 0 ? NO_TAGS : headOf(stored, AT.meta, length).split('|')
  return {
    kind: text[AT.kind] as string,
    freshUntil,
    storedAt,
    epoch: text.slice(AT.stamp, AT.stamp + EPOCH_LENGTH),
    sequence,
    loadMs,
    serializer,
    tags: tags === '' ? NO_TAGS : tags.split(','),
    length,
  }
}

/** The number that stands there, without a string made for it; NaN for anything but digits. */
function digits(text: string, from: number, to: number): number {
  let number = 0
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 48
    if (!(digit >= 0 && digit <= 9)) return Number.NaN
    number = number * 10 + digit
  }
  return number
}

/** The head is ASCII: a character is a byte. */
function headOf(stored: Stored, from: number, to: number): string {
  return typeof stored === 'string' ? stored.slice(from, to) : stored.toString('latin1', from, to)
}
