/** Breakwater as its README shows it: one space, a loader, a guard where unknown ids can be asked for. */

import { bloomGuard } from '@breakwater/cache'
import { createDataAccess } from '@breakwater/core'
import { CONNECTIONS, type Contender } from './contender.js'

/** Ids a page of the scan that fills the guard. */
const SCAN_PAGE = 10_000

export const breakwater: Contender = {
  name: 'breakwater',
  create({ postgresUrl, redisUrl, namespace, entity, ttlMs }) {
    const data = createDataAccess({
      postgres: { connectionString: postgresUrl, max: CONNECTIONS, idleTimeoutMillis: 0 },
      redis: { url: redisUrl },
      cache: { namespace, memory: { maxBytes: 64 * 1024 * 1024 } },
    })
    async function* scanIds(sql: string): AsyncGenerator<number> {
      let last = 0
      for (;;) {
        const { rows } = await data.pool.query<{ id: number }>(sql, [last, SCAN_PAGE])
        for (const { id } of rows) yield id
        if (rows.length < SCAN_PAGE) return
        last = rows.at(-1)?.id ?? last
      }
    }
    const { sql, idsSql } = entity
    const space = data.cache.space<object>(entity.name, {
      ttl: ttlMs,
      grace: '1h',
      absentTtl: '30s',
      jitter: 0.1,
      load: async id => (await data.pool.query<object>(sql, [id])).rows[0] ?? null,
      ...(idsSql && { guard: bloomGuard({ scan: () => scanIds(idsSql), expected: 150_000, errorRate: 0.001 }) }),
    })
    return {
      pool: data.pool,
      init: async () => {
        await data.init()
      },
      get: id => space.get(id),
      dispose: () => data.dispose(),
    }
  },
}
