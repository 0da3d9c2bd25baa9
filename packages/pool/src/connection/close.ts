/** Closes a connection: politely where there is time, and in any case before long. */

import type { Clock } from '@breakwater/kernel'
import { type ClientLike, destroySocket } from '../driver.js'

/** A server that is there answers a goodbye within a round trip. */
const GOODBYE_MS = 1_000

/** Resolves when the socket is closed. With `force` the server is not told first. */
export function closeClient(client: ClientLike, force: boolean, clock: Clock): Promise<void> {
  return new Promise(resolve => {
    // It also keeps the process alive for those who wait, where the socket itself does not.
    const timer = clock.schedule(GOODBYE_MS, () => destroySocket(client), { keepAlive: true })
    client.end(() => {
      timer.cancel()
      resolve()
    })
    if (force) destroySocket(client)
  })
}
