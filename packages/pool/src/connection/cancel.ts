/** Ends a query in the database when its caller has gone, without ever hitting the query of another caller. */

import { type Clock, Deadline } from '@breakwater/kernel'
import { type ClientLike, isQueryable, isReady, requestCancel } from '../driver.js'
import { over, within } from './restore.js'

/**
 * A cancel request goes over a socket of its own. It may overtake the query, or come when the server has just begun to
 * read it; both times it is for nothing, so it is sent again after this time, which doubles.
 */
const AGAIN_MS = 50

/**
 * Resolves with true when the client's query is over and no cancel request is under way that could hit the next one;
 * with false when that is not so in time, and the client must not be used again.
 * @param stream see `requestCancel`.
 */
export async function cancelQuery(
  client: ClientLike,
  stream: unknown,
  timeoutMs: number,
  clock: Clock,
): Promise<boolean> {
  if (isReady(client)) return true
  const deadline = new Deadline(clock, timeoutMs)
  const ended = over(client)
  for (let againMs = AGAIN_MS; isRunning(client) && !deadline.expired; againMs *= 2) {
    const request = requestCancel(client, stream)
    if (!request) return false
    const isClosed = await within(clock, deadline.remainingMs, request.closed)
    if (!isClosed) {
      request.destroy()
      return false
    }
    await within(clock, Math.min(againMs, deadline.remainingMs), ended)
  }
  return isReady(client)
}

/** Tells whether the client has a query under way on a connection that is not known to be lost. */
function isRunning(client: ClientLike): boolean {
  return !isReady(client) && isQueryable(client)
}
