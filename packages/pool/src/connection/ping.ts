/** What a backend is asked by the pool itself: whether it lives, and whether it is the one that was connected to. */

import { processIdOf, type QueryResult } from '../driver.js'
import { queryForUpkeep } from '../queries/client-query.js'
import type { Connection } from './connection.js'

/**
 * Resolves with whether the server answers an empty query: one round trip, nothing parsed, planned or counted as a
 * transaction.
 * @param signal aborted when it has taken too long; the connection is then given up, since nothing else would end the query.
 */
export function ping(connection: Connection, signal: AbortSignal): Promise<boolean> {
  return new Promise(resolve => {
    signal.addEventListener('abort', () => {
      connection.abandon(signal.reason)
      resolve(false)
    })
    queryForUpkeep(connection.client, '', error => resolve(!error))
  })
}

/**
 * Resolves with whether the backend that answers is the one that was connected to: a pooler makes up a process id of its own.
 * False if that can't be told. Nothing else bounds it but the signal, as for `ping`.
 */
export function isDirect(connection: Connection, signal: AbortSignal): Promise<boolean> {
  return new Promise(resolve => {
    signal.addEventListener('abort', () => {
      connection.abandon()
      resolve(false)
    })
    queryForUpkeep(connection.client, 'select pg_catalog.pg_backend_pid() as pid', (error, result) => {
      resolve(!error && (result as QueryResult).rows[0]?.pid === processIdOf(connection.client))
    })
  })
}
