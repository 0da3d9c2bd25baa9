/** What is promised of any client of ioredis, and of how long an answer is waited for. */

import { eventually, FakeClock, startProxy } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { Cluster, Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { Cache } from '../cache.js'
import { HoldingRedis } from '../holding-redis.fixture.js'
import { Gate, instancesOn, instancesWith } from '../instances.fixture.js'
import type { RedisLike } from './redis-like.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const

describe('the client’s shape', () => {
  it('is one that an ioredis client has', () => {
    const clients = [new Redis({ lazyConnect: true }), new Cluster([], { lazyConnect: true })]
    const fit: RedisLike[] = clients
    expect(fit.map(client => client.status)).toEqual(['wait', 'wait'])
    for (const client of clients) client.disconnect()
  })
})

describe('a client that fails fast', () => {
  it('is as good as any: the log is followed, and waiters are woken', async () => {
    const options = { lazyConnect: true, enableOfflineQueue: false, maxRetriesPerRequest: 0 }
    await using instances = instancesOn(testRedis().url)
    const client = new Redis(testRedis().url, options)
    await client.connect()
    const cache = new Cache({ redis: client, namespace: instances.namespace, redisTimeout: '5s' })
    await cache.init({ deadline: '5s' })
    expect(cache.stats().redis).toMatchObject({ following: true, failures: 0 })
    const gate = new Gate<string>()
    const holder = instances.make().space<string>('s', { ...MINUTE, load: gate.load })
    const waiter = cache.space<string>('s', { ...MINUTE, load: gate.load })
    const entered = gate.entered()
    const first = holder.get('k')
    await entered
    const second = waiter.get('k')
    await eventually(() => expect(waiter.stats.waits).toBe(1))
    gate.succeed('v')
    expect(await Promise.all([first, second])).toEqual(['v', 'v'])
    await cache.dispose()
    client.disconnect()
  })
})

describe('a cache that was not initialised', () => {
  it('sends nothing before its first read, and then works like any', async () => {
    await using instances = instancesOn(testRedis().url)
    const client = new Redis(testRedis().url, { lazyConnect: true })
    const cache = new Cache({ redis: client, namespace: instances.namespace, redisTimeout: '5s' })
    const space = cache.space<number>('s', { ...MINUTE, load: async () => 1 })
    expect(client.status).toBe('wait')
    expect(await space.get('k')).toBe(1)
    await eventually(async () => {
      await space.get('k')
      expect(cache.stats()).toMatchObject({ redis: { following: true }, memory: { entries: 1 } })
    })
    await cache.dispose()
    client.disconnect()
  })
})

describe('what Redis is asked', () => {
  it('is not waited for while the connection is known to be down', async () => {
    await using proxy = await startProxy(testRedis())
    const client = new Redis(proxy.url(testRedis().url), {
      maxRetriesPerRequest: null,
      retryStrategy: () => 60_000,
      disconnectTimeout: 50,
    })
    client.on('error', () => {})
    // No time passes that could end a wait.
    const cache = new Cache({ redis: client, clock: new FakeClock(), redisTimeout: '1s' })
    const space = cache.space<string>('s', { ...MINUTE, load: async () => 'v' })
    await cache.init()
    proxy.refuse()
    proxy.cut()
    await eventually(() => expect(client.status).toBe('reconnecting'))
    expect(await space.delete('k')).toBe('queued')
    expect(await space.get('k')).toBe('v')
    expect(cache.stats().redis?.breaker).toBe('closed')
    await cache.dispose()
    client.disconnect()
  })

  it('may be slow by itself: where other answers come meanwhile, Redis is not taken for dead', async () => {
    const clock = new FakeClock()
    await using instances = instancesWith(() => new HoldingRedis(testRedis().url))
    const cache = instances.make({ clock, redisTimeout: '1s' })
    const space = cache.space<string>('s', { ...MINUTE, load: async () => 'v' })
    await cache.init()
    const client = instances.made[0] as HoldingRedis
    const letGo = client.hold()
    const read = space.get('k')
    await eventually(() => expect(client.reads).toBe(1))
    await clock.advance(1)
    expect(await space.delete('other')).toBe('applied')
    await clock.advance(999)
    expect(await read).toBe('v')
    expect(cache.stats()).toMatchObject({ redis: { breaker: 'closed' }, spaces: { s: { redisBypassed: 1 } } })
    letGo()
  })

  it('gives back a lease that it may have given without a word', async () => {
    const clock = new FakeClock()
    await using instances = instancesWith(() => new HoldingRedis(testRedis().url))
    const cache = instances.make({ clock, redisTimeout: '1s', memory: false })
    const space = cache.space<string>('s', { ...MINUTE, leaseTime: '1h', load: async () => 'v' })
    await cache.init()
    await space.set('warm', 'v')
    const leases = (): Promise<string[]> => instances.redis.keys(`${instances.namespace}:*:l:s:k`)
    const letGo = instances.made[0]?.hold('evalsha')
    const read = space.get('k')
    await eventually(async () => expect(await leases()).toHaveLength(1))
    // It does answer, if not to this.
    await clock.advance(1)
    expect((await space.getDetailed('warm')).source).toBe('redis')
    await clock.advance(999)
    expect(await read).toBe('v')
    await eventually(async () => expect(await leases()).toEqual([]))
    letGo?.()
  })

  it('is not taken for dead when it was this process that stood still, and the answer lies in the socket', async () => {
    const sources: string[] = []
    // A machine with much to do may not have answered in that time.
    while (sources.length < 20 && !sources.includes('redis')) {
      await using instances = instancesOn(testRedis().url)
      const cache = instances.make({ redisTimeout: 100, memory: false })
      const space = cache.space<string>('s', { ...MINUTE, load: async () => 'v' })
      await cache.init()
      await space.set('k', 'v')
      const read = space.getDetailed('k')
      // By then it was sent.
      await new Promise(setImmediate)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150)
      sources.push((await read).source)
    }
    expect(sources.at(-1)).toBe('redis')
  })
})
