/** By hand, with the usual remedy against ids that do not exist: that there is nothing is cached too, for half a minute. */

import { Redis } from 'ioredis'
import pg from 'pg'
import { CONNECTIONS, type Contender } from './contender.js'

/** Seconds; as long as Breakwater's `absentTtl`. */
const ABSENT_SECONDS = 30
const ABSENT = 'null'

export const cachingNulls: Contender = {
  name: 'caching-nulls',
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
        if (rows.length === 0) await redis.setex(key, ABSENT_SECONDS, ABSENT)
        else await redis.setex(key, ttlMs / 1_000, JSON.stringify(rows[0]))
        return rows[0] ?? null
      },
      async dispose() {
        await Promise.all([pool.end(), redis.quit()])
      },
    }
  },
}
