/** Finds a free loopback port that no outgoing connection will take. */

import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Outgoing connections take ports from 32768 up. Source: Linux, `ip_local_port_range`. */
const FIRST = 10_000
const BEYOND_LAST = 32_768

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** Returns a port on 127.0.0.1 that was free a moment ago; another process may still be faster. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, BEYOND_LAST)
    if (await isFree(port)) return port
  }
}
