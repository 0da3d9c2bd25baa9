/** What test files use of the run around them: the shared servers, and a word to the check for leftovers. */

import { inject } from 'vitest'
import { ForeignPostgres } from './postgres/foreign-postgres.js'
import { ForeignServer } from './process/foreign-server.js'
import type { PostgresServer, RedisServer } from './server.js'
import './shared-servers.js'

export { allowLeftovers } from './leftovers-policy.js'

/** Returns the run's shared Postgres. A test file makes databases of its own on it. */
export function testPostgres(): PostgresServer {
  return new ForeignPostgres(inject('breakwaterPostgres'))
}

/** Returns the run's shared Redis. A test file uses keys of its own on it, or starts a server of its own. */
export function testRedis(): RedisServer {
  return new ForeignServer(inject('breakwaterRedis'))
}
