/** tarn, the pool of Knex, over pg.Client; as with Knex, a connection that was lost is refused at its next acquire. */

import type pg from 'pg'
import { Pool } from 'tarn'
import { CONNECTIONS } from '../../contenders/contender.js'
import { cityQuery } from './city-query.js'
import type { PoolContender } from './contender.js'
import { openClient } from './open-client.js'

export const tarn: PoolContender = {
  open(connectionString, connections) {
    const lost = new WeakSet<pg.Client>()
    const pool = new Pool<pg.Client>({
      create: () => openClient(connectionString, client => lost.add(client)),
      validate: client => !lost.has(client),
      destroy: client => client.end(),
      min: 0,
      max: connections,
    })
    const run = async (query: string | pg.QueryConfig): Promise<pg.QueryResult> => {
      const client = await pool.acquire().promise
      try {
        return await client.query(query)
      } finally {
        pool.release(client)
      }
    }
    return {
      city: async id => (await run(cityQuery(id))).rows[0],
      query: run,
      lender: lenderOf(pool),
      end: () => pool.destroy(),
      forceEnd: () => pool.destroy(),
    }
  },
  lendDummies: () => lenderOf(new Pool<object>({ create: async () => ({}), destroy() {}, min: 0, max: CONNECTIONS })),
}

function lenderOf<T>(pool: Pool<T>) {
  return { acquire: () => pool.acquire().promise, release: (resource: T) => pool.release(resource) }
}
