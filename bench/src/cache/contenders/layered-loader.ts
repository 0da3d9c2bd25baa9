/** layered-loader: lru-map in memory, RedisCache behind it, and its Redis notifications between instances. */

import { Redis } from 'ioredis'
import { createNotificationPair, Loader, type LoaderConfig, RedisCache } from 'layered-loader'
import type { CacheContender } from './contender.js'

export const layeredLoader: CacheContender = {
  async open({ tiers, redis, ttlMs, load }) {
    const clients: Redis[] = []
    const connect = (): Redis => {
      const client = new Redis(redis.url)
      client.on('error', () => {})
      clients.push(client)
      return client
    }
    const config: LoaderConfig<unknown> = {
      dataSources: [{ get: load, getMany: async () => [], name: 'bench' }],
      cacheKeyFromValueResolver: value => (value as { key: string }).key,
    }
    if (tiers !== 'redis') config.inMemoryCache = { cacheType: 'lru-map', ttlInMsecs: ttlMs, maxItems: 100_000 }
    if (tiers !== 'memory') {
      config.asyncCache = new RedisCache<unknown>(connect(), { prefix: 'bench', json: true, ttlInMsecs: ttlMs })
    }
    if (tiers === 'both') {
      const pair = createNotificationPair<unknown>({
        channel: 'bench',
        consumerRedis: connect(),
        publisherRedis: connect(),
      })
      config.notificationConsumer = pair.consumer
      config.notificationPublisher = pair.publisher
    }
    const loader = new Loader<unknown>(config)
    await loader.init()
    return {
      get: key => loader.get(key),
      getMany: keys => loader.getMany([...keys]),
      peek: key => loader.getInMemoryOnly(key),
      invalidate: key => loader.invalidateCacheFor(key),
      close: async () => {
        for (const client of clients) client.disconnect()
      },
    }
  },
}
