/** postgres.js, a driver of its own: it has no pool to take a connection from, and writes queries back to back. */

import postgres from 'postgres'
import { city } from '../../data/city.js'
import type { City } from '../../data/world.js'
import type { PoolContender } from './contender.js'

export const postgresJs: PoolContender = {
  open(postgresUrl, connections) {
    const sql = postgres(postgresUrl, { max: connections })
    return {
      city: async id => (await sql.unsafe<City[]>(city.sql, [id], { prepare: true }))[0],
      query: async text => sql.unsafe(text),
      // After a lost connection it may wait for ever for a query that it has lost as well.
      end: () => sql.end({ timeout: 1 }),
      forceEnd: () => sql.end({ timeout: 0 }),
    }
  },
}
