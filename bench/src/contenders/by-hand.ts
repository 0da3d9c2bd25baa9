/** The ways a team writes it by hand: GET; on a miss the query, then SETEX. */

import { Redis } from 'ioredis'
import pg from 'pg'
import { CONNECTIONS, type Contender } from './contender.js'

/** @param absentSeconds For how long it is kept that there is no such row; not at all if left out. */
export function byHand(name: string, absentSeconds?: number): Contender {
  return {
    name,
    create({ postgresUrl, redisUrl, namespace, entity, ttlMs }) {
      const redis = new Redis(redisUrl, { lazyConnect: true })
      const pool = new pg.Pool({ connectionString: postgresUrl, max: CONNECTIONS, idleTimeoutMillis: 0 })
      return {
        pool,
        init: () => redis.connect(),
        async get(id) {
          const key = `${namespace}:${entity.name}:${id}`
          const cached = await redis.get(key)
          if (cached !== null) return JSON.parse(cached)
          const row = (await pool.query(entity.sql, [id])).rows[0] ?? null
          const seconds = row === null ? absentSeconds : ttlMs / 1_000
          if (seconds !== undefined) await redis.setex(key, seconds, JSON.stringify(row))
          return row
        },
        async dispose() {
          await Promise.all([pool.end(), redis.quit()])
        },
      }
    },
  }
}
