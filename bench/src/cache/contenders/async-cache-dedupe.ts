/** async-cache-dedupe with its memory or its Redis storage; it has no two tiers. */

import { createCache } from 'async-cache-dedupe'
import { Redis } from 'ioredis'
import type { CacheContender } from './contender.js'

export const asyncCacheDedupe: CacheContender = {
  open({ tiers, redis, ttlMs, load }) {
    const client = tiers === 'memory' ? undefined : new Redis(redis.url)
    client?.on('error', () => {})
    const cache = createCache({
      // Whole seconds.
      ttl: Math.ceil(ttlMs / 1_000),
      storage: client
        ? { type: 'redis', options: { client: client as never } }
        : { type: 'memory', options: { size: 100_000 } },
    }).define('read', (key: string) => load(key))
    return {
      get: key => cache.read(key),
      invalidate: key => cache.clear('read', key),
      close: async () => client?.disconnect(),
    }
  },
}
