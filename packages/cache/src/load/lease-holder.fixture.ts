/** A process that wins a load lease and never loads: `node lease-holder.fixture.ts <url> <namespace>`. */

import { Redis } from 'ioredis'
import { Cache } from '../cache.js'

const [url = '', namespace = ''] = process.argv.slice(2)
const cache = new Cache({ redis: new Redis(url), namespace, redisTimeout: '5s' })
const space = cache.space<string>('s', {
  ttl: '1m',
  leaseTime: '2s',
  load: () => {
    process.send?.('holding')
    return new Promise(() => {})
  },
})
await space.get('k')
