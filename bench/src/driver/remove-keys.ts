/** Leaves nothing of a run in Redis, which may be somebody else's: keys are removed one by one, never flushed. */

import { Redis } from 'ioredis'

/** Keys a step of the scan. */
const SCAN_COUNT = 1_000

/** Removes every key with `mark` in its name. @param mark Without the characters that a pattern gives a meaning. */
export async function removeKeys(redisUrl: string, mark: string): Promise<void> {
  const redis = new Redis(redisUrl, { lazyConnect: true, retryStrategy: () => null })
  try {
    await redis.connect()
    let cursor = '0'
    do {
      const [next, keys] = await redis.scan(cursor, 'MATCH', `*${mark}*`, 'COUNT', SCAN_COUNT)
      if (keys.length > 0) await redis.unlink(keys)
      cursor = next
    } while (cursor !== '0')
  } finally {
    redis.disconnect()
  }
}
