/** What is done about a query of a lane that has failed: its caller hears of it, or it is run again, which is then safe. */

import { endsSession, hasNotRun, noteWhetherRun } from '../connection/session-errors.js'
import { wireOf } from '../driver.js'
import type { LaneQuery } from './lane-query.js'
import type { Names } from './names.js'

/**
 * - `tell`: the server has refused it, and that is the answer.
 * - `again`: it has not run, and what kept it from running has to do with the lane, not with the query.
 * - `again-if-affordable`: its connection was lost, and it may be sent again; so many are, as the retry budget allows.
 */
export type Verdict = 'tell' | 'again' | 'again-if-affordable'

/** No such statement; there is one of that name; it was planned for other columns than its tables have now. */
const STATEMENT_LOST = '26000'
const STATEMENT_THERE = '42P05'
const PLAN_STALE = '0A000'
const CANCELLED = '57014'
/** The server's last word; it has read nothing that was sent behind. */
const SHUT_DOWN = '57P01'

export function judge(query: LaneQuery, error: Error, names: Names): Verdict {
  const { lane, request } = query
  if (!lane.connection.isUsable) {
    return wasNotRead(query, error) || request.statement.isRead ? 'again-if-affordable' : 'tell'
  }
  const { code } = error as { code?: unknown }
  if (code === CANCELLED && lane.cancels > 0) return 'again'
  if (query.name !== undefined && isOfItsName(query, code, names)) return 'again'
  if (!endsSession(error)) return 'tell'
  noteWhetherRun(error, false)
  lane.isClosing = true
  lane.isBroken = true
  lane.isShutDown ||= code === SHUT_DOWN
  return request.statement.isRead ? 'again-if-affordable' : 'tell'
}

/** Tells whether the server can't have run the query of a connection that is lost. */
export function wasNotRead({ lane, write, next }: LaneQuery, error: Error): boolean {
  if (lane.isShutDown || write === lane.writes) return true
  // What the system has not taken is the end of what was written.
  return next === undefined && hasNotRun(error)
}

/** Tells whether it failed for the name under which its statement is prepared, and sees to it that the next one does not. */
function isOfItsName({ lane, name = '', ownName }: LaneQuery, code: unknown, names: Names): boolean {
  const wire = wireOf(lane.connection.client)
  const isKnown = wire.parsedStatements[name] !== undefined
  if (ownName !== undefined && !isKnown) lane.names.forget(ownName, wire)
  switch (code) {
    case STATEMENT_LOST:
      // If it is not known, one that was sent before was to prepare it, and has failed with an error of its own.
      if (isKnown) {
        lane.names.clear(wire)
        lane.names.forget(name, wire)
        if (ownName !== undefined) names.strike(STATEMENT_LOST)
      }
      return true
    case STATEMENT_THERE:
      if (ownName !== undefined) names.strike(STATEMENT_THERE)
      return ownName !== undefined
    case PLAN_STALE:
      lane.names.drop(name, wire)
      return true
    default:
      return false
  }
}
