/** cacheable: its own memory first and @keyv/redis behind it, as its README sets up two tiers. */

import KeyvRedis from '@keyv/redis'
import { Cacheable } from 'cacheable'
import type { CacheContender } from './contender.js'

export const cacheable: CacheContender = {
  open({ tiers, redis, ttlMs, load }) {
    const cache = new Cacheable({
      ttl: ttlMs,
      ...(tiers === 'both' && { secondary: new KeyvRedis(redis.url) }),
    })
    cache.on('error', () => {})
    return {
      get: key => cache.getOrSet(key, () => load(key), { ttl: ttlMs }),
      getMany: keys => cache.getMany([...keys]),
      invalidate: key => cache.delete(key),
      close: () => cache.disconnect(),
    }
  },
}
