/** What the run's main process tells its workers of the servers that they share. */

import type { ForeignServerFacts } from './process/foreign-server.js'
import type { Server } from './server.js'

declare module 'vitest' {
  interface ProvidedContext {
    breakwaterPostgres: ForeignServerFacts
    breakwaterRedis: ForeignServerFacts
  }
}

/** Returns what a worker must know to use the server, and to leave it running. */
export function sharedFacts({ host, port, url, version, pid }: Server): ForeignServerFacts {
  return { host, port, url, version, pid, owner: 'the whole test run shares it' }
}
