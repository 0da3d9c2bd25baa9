/** Compares every reply with the table, so that no contender is fast by being wrong. */

import { isDeepStrictEqual } from 'node:util'
import type { Entity, Id } from './entity.js'
import type { World } from './world.js'

/**
 * Returns a function that tells whether `answer` is what the table holds for `id`. Wrong are: a missing answer for an
 * existing id, an answer for an absent one, and any field that differs, is missing or too many.
 */
export function createCheck(entity: Entity, world: World): (id: Id, answer: unknown) => boolean {
  const truth = entity.truth(world)
  return (id, answer) => isDeepStrictEqual(answer, truth(id))
}
