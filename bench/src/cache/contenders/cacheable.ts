/** cacheable: its own memory first and @keyv/redis behind it, with its sync between instances, as its README sets them up. */

import KeyvRedis from '@keyv/redis'
import { RedisMessageProvider } from '@qified/redis'
import { Cacheable } from 'cacheable'
import type { CacheContender } from './contender.js'

export const cacheable: CacheContender = {
  open({ tiers, redis, ttlMs, load }) {
    const provider = tiers === 'both' ? new RedisMessageProvider({ uri: redis.url }) : undefined
    const cache = new Cacheable({
      ttl: ttlMs,
      ...(provider && { secondary: new KeyvRedis(redis.url), sync: { qified: provider } }),
    })
    cache.on('error', () => {})
    return {
      get: key => cache.getOrSet(key, () => load(key), { ttl: ttlMs }),
      getMany: keys => cache.getMany([...keys]),
      invalidate: key => cache.delete(key),
      async close() {
        await provider?.disconnect()
        await cache.disconnect()
      },
    }
  },
}
