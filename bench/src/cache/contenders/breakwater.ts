/** Breakwater as its README sets it up: memory and Redis, with its defaults. */

import { Cache } from '@breakwater/cache'
import { Redis } from 'ioredis'
import type { CacheContender } from './contender.js'

export const breakwater: CacheContender = {
  async open({ tiers, redis, ttlMs, load }) {
    const client = tiers === 'memory' ? undefined : new Redis(redis.url)
    client?.on('error', () => {})
    const cache = new Cache({
      ...(client && { redis: client }),
      ...(tiers === 'redis' && { memory: false }),
      missBudget: Number.POSITIVE_INFINITY,
    })
    const space = cache.space<unknown, string>('bench', { ttl: ttlMs, load })
    await cache.init()
    return {
      get: key => space.get(key),
      getMany: keys => space.getMany(keys),
      peek: key => space.peek(key),
      invalidate: key => space.delete(key),
      async close() {
        await cache.dispose({ deadline: 500 })
        client?.disconnect()
      },
    }
  },
}
