/** cache-manager over Keyv: CacheableMemory first, @keyv/redis behind it, as its README sets up two tiers. */

import KeyvRedis from '@keyv/redis'
import { createCache } from 'cache-manager'
import { CacheableMemory } from 'cacheable'
import { Keyv } from 'keyv'
import type { CacheContender } from './contender.js'

export const cacheManager: CacheContender = {
  open({ tiers, redis, ttlMs, load }) {
    const stores: Keyv[] = []
    if (tiers !== 'redis') {
      stores.push(new Keyv({ store: new CacheableMemory({ ttl: ttlMs, lruSize: 100_000 }) }))
    }
    if (tiers !== 'memory') stores.push(new Keyv({ store: new KeyvRedis(redis.url) }))
    for (const store of stores) store.on('error', () => {})
    const cache = createCache({ stores, ttl: ttlMs })
    return {
      get: key => cache.wrap(key, () => load(key)),
      getMany: keys => cache.mget([...keys]),
      invalidate: key => cache.del(key),
      close: () => cache.disconnect(),
    }
  },
}
