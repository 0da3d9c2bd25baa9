/**
 * What stored values are held against (lua.ts), as the scripts have left it beside them: read in one MGET with the values, and
 * so of the same moment. Whoever reads so says itself whether a value counts; where it cannot tell, it says no.
 */

import type { Header } from '../codec/header.js'
import type { TagLedger } from '../tags/tag-ledger.js'

interface Marks {
  readonly epoch: string | undefined
  /** Counts of the log at the last clear of everything, and of each space. */
  readonly cleared: number
  readonly spaces: ReadonlyMap<string, number>
  /** Count when the server was last found to be another one. */
  readonly suspect: number
  /** Count at the last deletion of a tag, and the id of its entry. */
  readonly taggedAt: number
  readonly lastTagId: string
}

const SPACE = 's:'

export class MarksReader {
  #text: string | undefined
  #marks: Marks | undefined

  /** Takes what was read: none if there were no marks, or they were evicted or garbled. */
  read(text: string | null): Marks | undefined {
    if (text === null) return undefined
    // They change with clears, tags and failovers only.
    if (text !== this.#text) {
      this.#marks = parse(text)
      this.#text = text
    }
    return this.#marks
  }
}

/** Whether nothing was deleted since that a value of `space` is under, and its server is the one it was stored on. */
export function countsFor(marks: Marks, space: string, header: Header, tags: TagLedger): boolean {
  const { sequence } = header
  if (header.epoch !== marks.epoch) return false
  // In this form, since a count that is no number must not pass.
  if (!(sequence >= marks.cleared && sequence >= marks.suspect && sequence >= (marks.spaces.get(space) ?? 0)))
    return false
  return header.tags.length === 0 || sequence >= marks.taggedAt || tags.stand(header.tags, sequence, marks.lastTagId)
}

function parse(text: string): Marks | undefined {
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof fields !== 'object' || fields === null) return undefined
  const count = (field: string): number => Number(fields[field] ?? 0)
  const spaces = Object.keys(fields).filter(field => field.startsWith(SPACE))
  return {
    epoch: typeof fields.e === 'string' ? fields.e : undefined,
    cleared: count('*'),
    spaces: new Map(spaces.map(field => [field.slice(SPACE.length), count(field)])),
    suspect: count('f'),
    taggedAt: count('g'),
    lastTagId: String(fields.i ?? ''),
  }
}
