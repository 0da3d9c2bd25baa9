/** bentocache: memory driver, Redis driver and Redis bus, as its "multi-tier" guide sets them up. */

import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis'
import type { CacheContender } from './contender.js'

export const bentocache: CacheContender = {
  open({ tiers, redis, ttlMs, load }) {
    const connection = { host: redis.host, port: redis.port }
    const memory = memoryDriver({ maxSize: '64mb', maxItems: 100_000 })
    const store = bentostore()
    if (tiers !== 'redis') store.useL1Layer(memory)
    if (tiers !== 'memory') store.useL2Layer(redisDriver({ connection }))
    if (tiers === 'both') store.useBus(redisBusDriver({ connection }))
    const cache = new BentoCache({ default: 'bench', stores: { bench: store }, ttl: ttlMs })
    return {
      get: key => cache.getOrSet({ key, factory: () => load(key) }),
      invalidate: key => cache.delete({ key }),
      close: () => cache.disconnectAll(),
    }
  },
}
