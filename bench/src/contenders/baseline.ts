/** The way a team writes it by hand: GET; on a miss the query, then SETEX. Nothing is kept for an absent row. */

import { Redis } from 'ioredis'
import pg from 'pg'
import { CONNECTIONS, type Contender } from './contender.js'

export const baseline: Contender = {
  name: 'baseline',
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
        const { rows } = await pool.query(entity.sql, [id])
        if (rows.length === 0) return null
        await redis.setex(key, ttlMs / 1_000, JSON.stringify(rows[0]))
        return rows[0]
      },
      async dispose() {
        await Promise.all([pool.end(), redis.quit()])
      },
    }
  },
}
