/** What the text of a statement tells: whether it may share a connection, whether it may be sent twice, and its shape. */

import { createHash } from 'node:crypto'
import type { Shape } from './shape.js'

/** Comments, blanks and brackets may stand before the keyword. Each of them is matched in one way only, or a long row of them would take for ever. */
const SHAREABLE =
  /^(?:\s|\(|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:select|insert|update|delete|merge|values|table|with)\b/i
const READ = /^(?:\s|\(|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:select|values|table|with)\b/i
/** Session locks are meant for a connection of one's own, and whoever waits for one waits for long. */
const NEVER_SHARED = /advisory/i
/** What changes data, takes locks, or makes a table. */
const EFFECT = /\b(?:insert|update|delete|merge|into|for)\b/i
const CALL = /([\w$".]+)\s*\(/g
/** What may stand before a bracket in a read: no function whose call could be noticed afterwards. */
const PURE = new Set(
  `and or not in any all some exists as on using over filter within by from join where when then else select values distinct
  lateral union except intersect limit offset like ilike between is with materialized count sum avg min max coalesce nullif
  greatest least lower upper length trim ltrim rtrim btrim substring substr left right replace concat concat_ws position
  strpos abs ceil floor round trunc mod power sqrt now date_trunc date_part extract to_char to_date to_timestamp age cast
  array row array_agg string_agg json_agg jsonb_agg json_build_object jsonb_build_object to_json to_jsonb row_to_json unnest
  array_length cardinality jsonb_array_elements generate_series row_number rank dense_rank lag lead varchar char numeric
  decimal timestamp time interval`
    .split(/\s+/)
    .filter(word => word !== ''),
)

/** A shape is a name in a table, and need not be the whole of it. */
const LONGEST_SHAPE = 1_000
/** Used so often, a text is worth the memory of a prepared statement in each backend. */
const WORTH_A_NAME = 2

export class Statement {
  readonly text: string
  readonly shape: Shape
  /** May share a connection, sent by the extended protocol: with no more than one statement in it. */
  readonly isShareable: boolean
  /** May hold more than one statement, which only the simple protocol takes. */
  readonly mayBeSeveral: boolean
  /** Only reads, as far as its text shows: it may be sent again although it may have run. */
  readonly isRead: boolean
  #uses = 0
  #name: string | undefined

  constructor(text: string, shape: Shape) {
    this.text = text
    this.shape = shape
    this.isShareable = SHAREABLE.test(text) && !NEVER_SHARED.test(text)
    this.mayBeSeveral = /;\s*\S/.test(text)
    this.isRead = this.isShareable && isRead(text)
  }

  /**
   * Returns the name under which a connection may prepare it, or undefined while it was used too seldom. Another text has
   * another name, in whatever process: backends behind a pooler are shared.
   */
  use(): string | undefined {
    if (this.#name === undefined && ++this.#uses >= WORTH_A_NAME) {
      this.#name = `bw_${createHash('sha256').update(this.text).digest('base64url').slice(0, 22)}`
    }
    return this.#name
  }
}

/** Returns the text without what differs from call to call: literals, comments, the length of lists. */
export function shapeOf(text: string): string {
  return text
    .replace(/'(?:[^']|'')*'/g, '?')
    .replace(/--[^\n]*|\/\*(?:[^*]|\*(?!\/))*\*\//g, ' ')
    .replace(/\$?\b\d+(?:\.\d+)?\b/g, '?')
    .replace(/\s+/g, ' ')
    .replace(/\?(?: ?, ?\?)+/g, '?')
    .slice(0, LONGEST_SHAPE)
}

function isRead(text: string): boolean {
  if (!READ.test(text) || EFFECT.test(text)) return false
  for (const [, name = ''] of text.matchAll(CALL)) if (!PURE.has(name.toLowerCase())) return false
  return true
}
