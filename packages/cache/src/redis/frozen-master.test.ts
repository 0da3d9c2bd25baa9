/** What docs/redis.md promises where real Sentinels replace a master that is frozen, and it wakes up and takes itself for one. */

import { eventually, type RedisSentinels, type RedisServer, startRedisSentinels } from '@breakwater/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Cache } from '../cache.js'
import { type Instances, instancesWith } from '../instances.fixture.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const
const KEYS = ['a', 'b', 'c']

describe('a master that was frozen and replaced, and wakes up', { timeout: 60_000 }, () => {
  let set: RedisSentinels
  beforeAll(async () => {
    set = await startRedisSentinels()
  })
  afterAll(() => set[Symbol.asyncDispose]())
  beforeEach(() => set.whole())

  /** Clients that do not leave a server by themselves, however long it is silent. They know one Sentinel: what it says counts. */
  const open = (failoverDetector: boolean): Redis => {
    const [{ host, port }] = set.sentinels as [RedisServer]
    const patience = { maxRetriesPerRequest: null, retryStrategy: () => 50, disconnectTimeout: 50 }
    const sentinels = { sentinels: [{ host, port }], name: set.name, updateSentinels: false }
    return new Redis({ ...patience, ...sentinels, failoverDetector })
  }

  type Moved = (fleet: Instances, caches: readonly Cache[], old: RedisServer) => Promise<unknown>
  const clients: readonly (readonly [who: string, failoverDetector: boolean, moved: Moved])[] = [
    [
      'who follows the log of the successor by then',
      false,
      (_, caches) =>
        eventually(() => expect(caches.map(cache => cache.stats().redis?.following)).toEqual([true, true]), 15_000),
    ],
    [
      'whose client hears of failovers',
      true,
      ({ made }, _, old) =>
        eventually(() => {
          for (const { stream } of made) expect([undefined, old.port]).not.toContain(stream?.remotePort)
        }, 15_000),
    ],
  ]
  it.each(clients)('is not read by an instance %s, and what it is told is not lost', async (_, detector, moved) => {
    await using fleet = instancesWith(() => open(detector))
    const caches = [fleet.make({ redisTimeout: 500 }), fleet.make({ redisTimeout: 500, memory: false })] as const
    let version = 1
    const load = async (): Promise<number> => version
    const [held, bare] = [
      caches[0].space<number>('s', { ...MINUTE, load }),
      caches[1].space<number>('s', { ...MINUTE, load }),
    ]
    await Promise.all(caches.map(cache => cache.init()))
    expect(await held.getMany(KEYS)).toEqual([1, 1, 1])
    await eventually(async () => expect(await fleet.redis.keys(`${fleet.namespace}:*:v:*`)).toHaveLength(KEYS.length))
    const old = await set.master()
    old.hang()
    await set.failOver()
    await moved(fleet, caches, old)
    old.resume()

    await using others = instancesWith(() => open(detector), fleet.namespace)
    const otherCache = others.make()
    const there = otherCache.space<number>('s', { ...MINUTE, load })
    await otherCache.init()
    version = 2
    expect(await there.deleteMany(KEYS)).toBe('applied')
    const [read, kept] = [new Set<number | null>(), new Set<number | null>()]
    let hasHeard = false
    const wasDemoted = async (): Promise<boolean> => {
      for (const value of await bare.getMany(KEYS)) read.add(value)
      for (const value of await held.getMany(KEYS)) if (hasHeard) kept.add(value)
      hasHeard ||= KEYS.every(key => held.peek(key) !== 1)
      return hasHeard && (await roleOf(old)) === 'slave'
    }
    await eventually(async () => expect(await wasDemoted()).toBe(true), 30_000)
    expect([...read]).toEqual([2])
    for (const value of await held.getMany(KEYS)) kept.add(value)
    expect([...kept]).toEqual([2])
    version = 3
    await held.deleteMany(KEYS)
    await eventually(async () => expect(await there.getMany(KEYS)).toEqual([3, 3, 3]), 15_000)
  })
})

async function roleOf({ host, port }: RedisServer): Promise<string | undefined> {
  const client = new Redis({ host, port, disconnectTimeout: 50 })
  try {
    return /role:(\w+)/.exec(await client.info('replication'))?.[1]
  } finally {
    client.disconnect()
  }
}
