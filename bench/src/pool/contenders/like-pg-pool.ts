/** What pg.Pool and its drop-in have in common, which is all but how they end. */

import type pg from 'pg'
import type { City } from '../../data/world.js'
import { cityQuery } from './city-query.js'
import type { OpenPool } from './contender.js'

export function likePgPool(pool: pg.Pool): Omit<OpenPool, 'forceEnd'> {
  // pg.Pool ends the process when an idle connection is lost and nobody listens.
  pool.on('error', () => {})
  return {
    city: async id => (await pool.query<City>(cityQuery(id))).rows[0],
    query: text => pool.query(text),
    lender: { acquire: () => pool.connect(), release: (client: pg.PoolClient) => client.release() },
    end: () => pool.end(),
  }
}
