/** cachified over ioredis, with an adapter as its README describes one; it has no two tiers. */

import { type Cache, type CacheEntry, cachified as read, totalTtl } from '@epic-web/cachified'
import { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import type { CacheContender } from './contender.js'

export const cachified: CacheContender = {
  open({ tiers, redis, ttlMs, load }) {
    const client = tiers === 'memory' ? undefined : new Redis(redis.url)
    client?.on('error', () => {})
    const cache = client ? overRedis(client) : overMemory()
    return {
      get: key => read({ key, cache, ttl: ttlMs, getFreshValue: () => load(key) }),
      invalidate: async key => cache.delete(key),
      close: async () => client?.disconnect(),
    }
  },
}

function overRedis(client: Redis): Cache {
  return {
    async set(key, value) {
      await client.set(key, JSON.stringify(value), 'PX', totalTtl(value.metadata))
    },
    async get(key) {
      const text = await client.get(key)
      return text === null ? null : (JSON.parse(text) as CacheEntry)
    },
    delete: key => client.del(key),
  }
}

function overMemory(): Cache {
  const lru = new LRUCache<string, CacheEntry>({ max: 100_000 })
  return {
    set: (key, value) => lru.set(key, value, { ttl: totalTtl(value.metadata), start: performance.now() }),
    get: key => lru.get(key),
    delete: key => lru.delete(key),
  }
}
