/** generic-pool over pg.Client; as with pg.Pool, a connection whose query failed is destroyed. */

import { createPool, type Factory } from 'generic-pool'
import type pg from 'pg'
import { CONNECTIONS } from '../../contenders/contender.js'
import { cityQuery } from './city-query.js'
import type { PoolContender } from './contender.js'
import { openClient } from './open-client.js'

export const genericPool: PoolContender = {
  open(connectionString, connections) {
    const pool = createPoolOf<pg.Client>(
      { create: () => openClient(connectionString, () => {}), destroy: client => client.end() },
      connections,
    )
    const run = async (query: string | pg.QueryConfig): Promise<pg.QueryResult> => {
      const client = await pool.acquire()
      try {
        const result = await client.query(query)
        void pool.release(client)
        return result
      } catch (error) {
        void pool.destroy(client)
        throw error
      }
    }
    const end = async (): Promise<void> => {
      await pool.drain()
      await pool.clear()
    }
    return {
      city: async id => (await run(cityQuery(id))).rows[0],
      query: run,
      lender: pool,
      end,
      forceEnd: end,
    }
  },
  lendDummies: () => createPoolOf({ create: async () => ({}), destroy: async () => {} }, CONNECTIONS),
}

function createPoolOf<T>(factory: Factory<T>, max: number) {
  return createPool(factory, { max })
}
