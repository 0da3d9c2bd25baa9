/** Closes a connection: politely where there is time, in any case before long, and leaves nothing running behind it. */

import { type Clock, Deadline } from '@breakwater/kernel'
import { destroySocket, isReady } from '../driver.js'
import { cancelQuery } from './cancel.js'
import type { Connection } from './connection.js'

/** A server that is there is done with a cancel request and a goodbye within a few round trips. */
const POLITE_MS = 1_000
/** A forced end leaves no backend behind after 300 ms, and fits into what a stop keeps for force of its deadline. */
const FORCED_MS = 150

export interface CloseOptions {
  readonly clock: Clock
  /** There is little time left. */
  readonly force: boolean
  /** See `requestCancel`. */
  readonly stream: unknown
}

/**
 * Resolves when the socket is closed: by the server, whose backend is gone then, or in time by force. What the client still
 * runs is cancelled first, since the server would go on with it until it had something to send.
 */
export async function closeConnection(connection: Connection, { clock, force, stream }: CloseOptions): Promise<void> {
  const { client } = connection
  const isRunning = connection.isUsable && !isReady(client)
  connection.isLost = true
  const deadline = new Deadline(clock, force ? FORCED_MS : POLITE_MS)
  if (isRunning) await cancelQuery(client, stream, deadline.remainingMs, clock)
  await new Promise<void>(resolve => {
    // It also keeps the process alive for those who wait, where the socket itself does not.
    const timer = clock.schedule(deadline.remainingMs, () => destroySocket(client), { keepAlive: true })
    client.end(() => {
      timer.cancel()
      resolve()
    })
  })
}
