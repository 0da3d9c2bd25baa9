import { eventually, startProxy } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { Cache } from '../cache.js'
import { instancesOn } from '../instances.fixture.js'
import type { Space } from '../space.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const

/** Two instances: `near`, and `far` whose connections go through a proxy; each has read 'a' and 'b'. */
async function cutOff(options: { grace?: number } = {}) {
  const instances = instancesOn(testRedis().url)
  const proxy = await startProxy(testRedis())
  const client = new Redis(proxy.url(testRedis().url), { maxRetriesPerRequest: null, retryStrategy: () => 20 })
  client.on('error', () => {})
  let version = 1
  const load = async (): Promise<number> => version
  const cache = new Cache({ redis: client, namespace: instances.namespace, redisTimeout: '5s', maxLag: '20s' })
  const nearCache = instances.make()
  const declare = (of: Cache): Space<number> => of.space<number>('s', { ...MINUTE, ...options, load })
  const [near, far] = [declare(nearCache), declare(cache)]
  await Promise.all([nearCache.init(), cache.init()])
  await Promise.all([far.getMany(['a', 'b']), near.getMany(['a', 'b'])])
  return {
    instances,
    proxy,
    cache,
    near,
    far,
    change: () => version++,
    /** Lets `far` connect again, and resolves when it follows the log. */
    async heal() {
      const before = cache.stats().redis?.connections ?? 0
      await proxy.heal()
      await eventually(() => expect(cache.stats().redis?.connections).toBeGreaterThan(before), 15_000)
      await eventually(async () => expect((await far.getDetailed('b')).source).toBe('memory'), 15_000)
    },
    async [Symbol.asyncDispose]() {
      await cache.dispose()
      client.disconnect()
      await proxy[Symbol.asyncDispose]()
      await instances[Symbol.asyncDispose]()
    },
  }
}

const keysOf = ({ instances }: Awaited<ReturnType<typeof cutOff>>, what: string): Promise<string[]> =>
  instances.redis.keys(`${instances.namespace}:*:${what}`)

describe('a follower that was cut off', () => {
  it('reads on where it stopped: what it missed is gone, and nothing else', async () => {
    await using at = await cutOff()
    at.proxy.refuse()
    at.proxy.cut()
    at.change()
    await at.near.delete('a')
    expect(at.far.peek('a')).toBe(1)
    await at.heal()
    await eventually(() => expect(at.far.peek('a')).toBeUndefined())
    expect([await at.far.get('a'), at.far.peek('b')]).toEqual([2, 1])
    expect(at.cache.stats().redis).toMatchObject({ gaps: 0, outbox: 0 })
  })

  it('forgets all when the log was trimmed past it', async () => {
    await using at = await cutOff()
    at.proxy.refuse()
    at.proxy.cut()
    at.change()
    for (const key of ['a', 'x', 'y']) await at.near.delete(key)
    const [log = ''] = await keysOf(at, 'log')
    await at.instances.redis.xtrim(log, 'MAXLEN', 1)
    await at.proxy.heal()
    await eventually(() => expect(at.cache.stats().redis?.gaps).toBe(1), 15_000)
    expect(await at.far.get('a')).toBe(2)
  })

  it('forgets all when the log was rolled back, and when it has grown again since', async () => {
    for (const growsAgain of [false, true]) {
      await using at = await cutOff()
      await at.near.delete('x')
      await eventually(() => expect(at.cache.stats().redis?.invalidations).toBe(1))
      const [log = '', state = ''] = [(await keysOf(at, 'log'))[0], (await keysOf(at, 'state'))[0]]
      const before = [await at.instances.redis.dumpBuffer(log), await at.instances.redis.dumpBuffer(state)] as const
      await at.near.delete('y')
      await eventually(() => expect(at.cache.stats().redis?.invalidations).toBe(2))
      at.proxy.refuse()
      at.proxy.cut()
      await at.instances.redis.restore(log, 0, before[0], 'REPLACE')
      await at.instances.redis.restore(state, 0, before[1], 'REPLACE')
      at.change()
      if (growsAgain) for (const key of ['a', 'z']) await at.near.delete(key)
      await at.proxy.heal()
      await eventually(() => expect(at.cache.stats().redis?.gaps).toBe(1), 15_000)
      expect(at.far.peek('b')).toBeUndefined()
    }
  })

  for (const grace of [0, 60_000]) {
    it(`takes what it has for old when the server is another one (grace ${grace})`, async () => {
      await using at = await cutOff({ grace })
      at.change()
      const [state = ''] = await keysOf(at, 'state')
      // As a replica would have it that was promoted without the last invalidations.
      await at.instances.redis.hset(state, 'r', 'the server before')
      at.proxy.cut()
      const seen = new Set<string>()
      await eventually(async () => {
        const { value, source } = await at.far.getDetailed('a')
        seen.add(`${value} ${source}`)
        expect(value).toBe(2)
      })
      expect(seen.has('1 stale')).toBe(grace > 0)
      await eventually(async () => expect(await at.far.get('a')).toBe(2))
      // In Redis too: an instance that has nothing in memory.
      const other = at.instances.make().space<number>('s', { ...MINUTE, grace, load: async () => 2 })
      expect(await other.getDetailed('b')).toMatchObject(grace === 0 ? { value: 2 } : { value: 1, source: 'stale' })
    })
  }

  it('forgets all when Redis was flushed, without a word from the log', async () => {
    await using instances = instancesOn(testRedis().url)
    const cache = instances.make()
    const space = cache.space<number>('s', { ...MINUTE, load: async () => 1 })
    await cache.init()
    await space.delete('x')
    await eventually(async () => expect((await space.getDetailed('a')).source).toBe('memory'))
    await instances.redis.del(await instances.redis.keys(`${instances.namespace}:*`))
    await eventually(() => expect(cache.stats().redis?.gaps).toBe(1))
    expect(space.peek('a')).toBeUndefined()
  })

  it('knows how long entries take to reach it', async () => {
    await using instances = instancesOn(testRedis().url)
    const caches = [instances.make(), instances.make()] as const
    const [near] = caches.map(cache => cache.space<number>('s', { ...MINUTE, load: async () => 1 }))
    await Promise.all(caches.map(cache => cache.init()))
    await near?.delete('k')
    await eventually(() => expect(caches[1].stats().redis?.invalidations).toBe(1))
    const { lagMs = -1, longestLagMs = -1 } = caches[1].stats().redis ?? {}
    expect(lagMs).toBeGreaterThanOrEqual(0)
    expect(longestLagMs).toBeGreaterThanOrEqual(lagMs)
    expect(longestLagMs).toBeLessThan(5_000)
  })
})
