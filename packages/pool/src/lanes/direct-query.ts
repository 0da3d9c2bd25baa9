/** Finds out whether the backend that answers is the one that was connected to: a pooler makes up a process id of its own. */

import { isLastWord } from '../connection/session-errors.js'
import { processIdOf, type QueryResult, WireQueryBase } from '../driver.js'
import type { Lane } from './lane.js'

/** The application may have parsers of its own. */
const QUESTION = { text: 'select pg_catalog.pg_backend_pid() as pid', types: { getTypeParser: () => Number } }

/** Sent before the first query that callers share a connection for, and in the same message: nobody waits for it. */
export class DirectQuery extends WireQueryBase {
  readonly lane: Lane

  constructor(lane: Lane) {
    super(QUESTION)
    this.lane = lane
    this.callback = note
    // What can't be told is taken for the worse.
    lane.connection.isDirect = false
  }
}

/** Called by pg on the query. */
function note(this: DirectQuery, error: Error | null, result?: QueryResult): void {
  const { connection } = this.lane
  const pid: unknown = result?.rows[0]?.pid
  connection.isDirect = pid !== undefined && pid === processIdOf(connection.client)
  // It has read nothing of what was sent behind.
  if (isLastWord(error)) this.lane.isShutDown = true
}
