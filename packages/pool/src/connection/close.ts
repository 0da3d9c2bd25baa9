/** Closes a connection: politely where there is time, and in any case before long. */

import type { Clock } from '@breakwater/kernel'
import { type ClientLike, destroySocket, keepAlive } from '../driver.js'

/** A server that is there answers a goodbye within a round trip. */
const GOODBYE_MS = 1_000

/** Resolves when the socket is closed. With `force` the server is not told first. */
export function closeClient(client: ClientLike, force: boolean, clock: Clock): Promise<void> {
  // Someone may wait for this: the process must not end before it for want of anything that keeps it alive.
  keepAlive(client, true)
  return new Promise(resolve => {
    const timer = clock.schedule(GOODBYE_MS, () => destroySocket(client), { keepAlive: true })
    client.end(() => {
      timer.cancel()
      resolve()
    })
    if (force) destroySocket(client)
  })
}
