/** pg.Pool. */

import pg from 'pg'
import { CONNECTIONS } from '../../contenders/contender.js'
import type { PoolContender } from './contender.js'
import { DummyClient } from './dummy-client.js'
import { likePgPool } from './like-pg-pool.js'

export const pgPool: PoolContender = {
  open(connectionString, connections) {
    const pool = new pg.Pool({ connectionString, max: connections })
    // It has no other end than this one, which waits for what runs.
    return { ...likePgPool(pool), forceEnd: () => pool.end() }
  },
  lendDummies() {
    const pool = new pg.Pool({ max: CONNECTIONS, Client: DummyClient as never })
    return { acquire: () => pool.connect(), release: (client: pg.PoolClient) => client.release() }
  },
}
