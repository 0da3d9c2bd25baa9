/** A process whose callers all ask for one key at once: `node caller.fixture.ts <url> <namespace> <callers>`. */

import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { Cache } from '../cache.js'

const [url = '', namespace = '', callers = ''] = process.argv.slice(2)
const redis = new Redis(url)
const cache = new Cache({ redis, namespace, redisTimeout: '10s' })
const space = cache.space<string>('s', {
  ttl: '1m',
  load: async () => {
    await redis.incr(`${namespace}:loads`)
    await sleep(100)
    return 'v'
  },
})
await cache.init()
process.once('message', async () => {
  const values = await Promise.allSettled(Array.from({ length: Number(callers) }, () => space.get('k')))
  process.send?.(values.filter(value => value.status === 'fulfilled' && value.value === 'v').length)
  await cache.dispose()
  redis.disconnect()
  process.disconnect()
})
process.send?.('ready')
