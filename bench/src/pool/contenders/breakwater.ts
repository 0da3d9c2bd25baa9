/** Breakwater's Pool, and for dummies the engine under it. */

import { type Lease, Pool, ResourcePool } from '@breakwater/pool'
import { CONNECTIONS } from '../../contenders/contender.js'
import type { PoolContender } from './contender.js'
import { likePgPool } from './like-pg-pool.js'

export const breakwater: PoolContender = {
  open(connectionString, connections) {
    const pool = new Pool({ connectionString, max: connections })
    return { ...likePgPool(pool), forceEnd: () => pool.dispose({ deadline: 0 }) }
  },
  lendDummies() {
    const pool = new ResourcePool({ max: CONNECTIONS, factory: { create: () => ({}), destroy() {} } })
    return { acquire: () => pool.acquire(), release: (lease: Lease<object>) => lease.release() }
  },
}
