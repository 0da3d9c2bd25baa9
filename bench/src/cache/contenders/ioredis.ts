/** ioredis without a cache around it: GET and JSON.parse, and what a team writes by hand for a miss. */

import { Redis } from 'ioredis'
import type { CacheContender } from './contender.js'

export const ioredis: CacheContender = byHand(false)
/** What its documentation recommends for many commands at once: those of one turn of the event loop go together. */
export const ioredisAutoPipelining: CacheContender = byHand(true)

function byHand(enableAutoPipelining: boolean): CacheContender {
  return {
    open({ redis, ttlMs, load }) {
      const client = new Redis(redis.url, { enableAutoPipelining })
      client.on('error', () => {})
      return {
        async get(key) {
          const text = await client.get(key)
          if (text !== null) return JSON.parse(text)
          const value = await load(key)
          await client.set(key, JSON.stringify(value), 'PX', ttlMs)
          return value
        },
        async getMany(keys) {
          return (await client.mget([...keys])).map(text => (text === null ? undefined : JSON.parse(text)))
        },
        invalidate: key => client.del(key),
        close: async () => client.disconnect(),
      }
    },
  }
}
