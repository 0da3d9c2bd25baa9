/** The cheapest question that only a living backend answers. */

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
