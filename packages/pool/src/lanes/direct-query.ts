/** Finds out whether the backend that answers is the one that was connected to: a pooler makes up a process id of its own. */

import type { Connection } from '../connection/connection.js'
import { processIdOf, type QueryResult, WireQueryBase } from '../driver.js'

/** The application may have parsers of its own. */
const QUESTION = { text: 'select pg_catalog.pg_backend_pid() as pid', types: { getTypeParser: () => Number } }

/** Sent before the first query that callers share a connection for, and in the same message: nobody waits for it. */
export class DirectQuery extends WireQueryBase {
  readonly connection: Connection

  constructor(connection: Connection) {
    super(QUESTION)
    this.connection = connection
    this.callback = note
    // What can't be told is taken for the worse.
    connection.isDirect = false
  }
}

/** Called by pg on the query. */
function note(this: DirectQuery, _error: Error | null, result?: QueryResult): void {
  const pid: unknown = result?.rows[0]?.pid
  this.connection.isDirect = pid !== undefined && pid === processIdOf(this.connection.client)
}
