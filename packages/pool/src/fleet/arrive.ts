/** Where an instance finds itself: on sessions of its own, or behind a pooler that hands each transaction to another. */

import { type Ask, introduce, Ledger } from './ledger.js'
import type { ResolvedFleet } from './options.js'

/** On sessions of its own, in which locks last: the ledger of them. Behind a pooler: its part of the server, for good. */
export type Whereabouts = { readonly ledger: Ledger } | { readonly part: number }

/**
 * Finds out by one statement, and by one more behind a pooler, where nothing but reading is done.
 * @param given the process id that came with the connection; undefined where that is not known, which is taken for nobody's.
 * @param id of the instance.
 */
export async function arrive(
  ask: Ask,
  given: number | undefined,
  fleet: ResolvedFleet,
  id: number,
): Promise<Whereabouts> {
  const { namespace, instances = 1, keepFree } = fleet
  const { processId, limitedRole } = await introduce(ask)
  const ledger = new Ledger(JSON.stringify([namespace, limitedRole ?? null]), id)
  if (given === undefined || given === processId) return { ledger }
  const { census } = await ledger.look(ask, undefined, undefined, true)
  return { part: Math.max(1, Math.floor(((census?.capacity ?? 1) - keepFree) / instances)) }
}
