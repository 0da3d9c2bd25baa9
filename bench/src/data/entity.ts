/** The shape of what a contender is asked for: the SQL that answers an id, and the true answer to compare with. */

import type { World } from './world.js'

/** A city's number or a country's code. */
export type Id = number | string

export interface Entity {
  readonly name: 'city' | 'country'
  /** Answers the id in `$1` with one row, or with none if there is no such thing. */
  readonly sql: string
  /** Lists the ids above `$1`, smallest first, at most `$2`; only where unknown ids are worth guarding against. */
  readonly idsSql?: string
  /** Returns a function from an id to the row that the database must give for it, `null` for an absent id. */
  truth(world: World): (id: Id) => object | null
}
