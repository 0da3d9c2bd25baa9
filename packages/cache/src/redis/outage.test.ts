/** What is promised of writes and reads while Redis is hung, down or cut off, and when it is back. */

import { type Clock, systemClock, type Timer } from '@breakwater/kernel'
import { eventually, FakeClock, startProxy, startRedis } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { Cache } from '../cache.js'
import { instancesOn } from '../instances.fixture.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const

class StallingClock implements Clock {
  stalledMs = 0

  now(): number {
    return systemClock.now() + this.stalledMs
  }

  coarse(): number {
    return this.now()
  }

  schedule(...args: Parameters<Clock['schedule']>): Timer {
    return systemClock.schedule(...args)
  }
}

describe('a reader whose Redis fails', () => {
  it('answers from the loader while the server hangs, each caller within the bound', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const cache = instances.make({ redisTimeout: 100 })
    const space = cache.space<string>('s', { ...MINUTE, load: async id => `v${String(id)}` })
    await cache.init()
    await space.get('warm')
    server.hang()
    const startedAt = performance.now()
    expect(await Promise.all([space.get('a'), space.get('a'), space.get('b')])).toEqual(['va', 'va', 'vb'])
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    expect(space.stats).toMatchObject({ redisBypassed: 2, loads: 3 })
    server.resume()
    await cache.init()
    expect(await space.get('c')).toBe('vc')
  })

  it('makes one read wait for a server that hangs, none after it, and asks the server again when it is back', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const cache = instances.make({ redisTimeout: 600 })
    const space = cache.space<string>('s', { ...MINUTE, load: async id => `v${String(id)}` })
    await cache.init()
    server.hang()
    expect(await space.get('first')).toBe('vfirst')
    expect(cache.stats().redis?.breaker).toBe('open')
    const took: number[] = []
    for (let i = 0; i < 20; i++) {
      const startedAt = performance.now()
      await space.get(`next${i}`)
      took.push(performance.now() - startedAt)
    }
    // But for one that is let through after a while, to see whether the server is back.
    const tries = cache.stats().redis?.breakerTransitions['half-open']
    expect(took.filter(ms => ms >= 600).length).toBeLessThanOrEqual(tries ?? 0)
    server.resume()
    await eventually(async () => {
      await space.get('back')
      expect(cache.stats().redis).toMatchObject({ breaker: 'closed', following: true })
    })
    await eventually(async () => expect((await space.getDetailed('back')).source).toBe('memory'))
    expect(
      await instances
        .make()
        .space<string>('s', { ...MINUTE, load: async () => 'loaded again' })
        .get('back'),
    ).toBe('vback')
  })

  it('stops believing its memory when the log has been silent for longer than maxLag', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const cache = instances.make({ maxLag: 150, redisTimeout: 50 })
    let loads = 0
    const space = cache.space<number>('s', { ...MINUTE, load: async () => ++loads })
    await cache.init()
    await space.get('k')
    await eventually(() => expect(space.peek('k')).toBe(1))
    server.hang()
    await eventually(() => expect(space.peek('k')).toBeUndefined())
    expect(await space.get('k')).toBe(2)
    server.resume()
  })

  it('does not believe its memory after the process stood still, before a timer could have told it', async () => {
    await using instances = instancesOn(testRedis().url)
    const clock = new StallingClock()
    const cache = instances.make({ clock, maxLag: 1_000 })
    const space = cache.space<string>('s', { ...MINUTE, load: async () => 'v' })
    await cache.init()
    await space.get('k')
    await eventually(() => expect(space.peek('k')).toBe('v'))
    clock.stalledMs = 1_000
    expect(space.peek('k')).toBeUndefined()
  })
})

describe('an invalidation that Redis cannot be told', () => {
  it('is queued, and told before this instance reads from Redis again', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    let version = 1
    const cache = instances.make({ redisTimeout: 100 })
    const space = cache.space<number>('s', { ...MINUTE, load: async () => version })
    await cache.init()
    expect(await space.get('k')).toBe(1)
    server.hang()
    version = 2
    expect(await space.delete('k')).toBe('queued')
    expect(await space.deleteMany(['k', 'l'])).toBe('queued')
    expect(cache.stats().redis?.outbox).toBe(2)
    expect(await space.get('k')).toBe(2)
    version = 3
    expect(await cache.deleteByTag('t')).toBe('queued')
    expect(await space.set('m', 7)).toBe('queued')
    server.resume()
    // The first that Redis is read for again: by then all is told.
    await eventually(async () => {
      await space.get(`probe${Math.random()}`)
      expect(cache.stats().redis).toMatchObject({ breaker: 'closed', outbox: 0 })
    })
    const other = instances.make().space<number>('s', { ...MINUTE, load: async () => version })
    expect(await other.get('k')).toBe(3)
    // A value is not kept for later: it may be older than what others have stored meanwhile.
    expect(await other.get('m')).toBe(3)
    expect(await space.delete('k')).toBe('applied')
  })

  it('is told by itself once Redis is back, and reaches other instances', async () => {
    await using server = await startRedis({ own: true })
    await using proxy = await startProxy(server)
    await using instances = instancesOn(server.url)
    let version = 1
    const load = async (): Promise<number> => version
    const client = new Redis(proxy.url(server.url), {
      maxRetriesPerRequest: null,
      retryStrategy: () => 20,
      disconnectTimeout: 50,
    })
    client.on('error', () => {})
    const cut = new Cache({ redis: client, namespace: instances.namespace, redisTimeout: '2s' })
    const far = cut.space<number>('s', { ...MINUTE, load })
    const near = instances.make()
    const other = near.space<number>('s', { ...MINUTE, load })
    await Promise.all([cut.init(), near.init()])
    expect([await far.get('k'), await other.get('k')]).toEqual([1, 1])
    proxy.refuse()
    proxy.cut()
    version = 2
    await eventually(async () => expect(await far.delete('k')).toBe('queued'))
    expect(other.peek('k')).toBe(1)
    await proxy.heal()
    await eventually(() => expect(other.peek('k')).toBeUndefined())
    expect(await other.get('k')).toBe(2)
    await cut.dispose()
    client.disconnect()
  })

  it('keeps no reader waiting until all that is to be told has been', async () => {
    await using proxy = await startProxy(testRedis())
    await using instances = instancesOn(testRedis().url)
    const client = new Redis(proxy.url(testRedis().url), {
      maxRetriesPerRequest: null,
      retryStrategy: () => 20,
      disconnectTimeout: 50,
    })
    client.on('error', () => {})
    const cache = new Cache({ redis: client, namespace: instances.namespace, redisTimeout: 600, memory: false })
    let version = 1
    const space = cache.space<number, number>('s', { ...MINUTE, load: async () => version })
    await cache.init()
    await space.get(1_999)
    await eventually(async () => expect((await space.getDetailed(1_999)).source).toBe('redis'))
    version = 2
    proxy.refuse()
    proxy.cut()
    await eventually(async () => expect(await space.delete(0)).toBe('queued'))
    expect(await space.deleteMany(Array.from({ length: 2_000 }, (_, id) => id))).toBe('queued')
    await proxy.heal()
    // A hundred in 300 ms: twenty times that until all is told.
    proxy.setLatency(300)
    await eventually(() => expect(cache.stats().redis?.breaker).toBe('closed'))
    expect(await space.getDetailed(1_999)).toMatchObject({ value: 2, source: 'loader' })
    expect(cache.stats().redis?.outbox).toBeGreaterThan(0)
    proxy.setLatency(0)
    await eventually(() => expect(cache.stats().redis?.outbox).toBe(0), 15_000)
    await cache.dispose()
    client.disconnect()
  })

  it('clears the space in the place of more keys than the outbox may hold', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    let version = 1
    const cache = instances.make({ redisTimeout: 100, outbox: 2 })
    const space = cache.space<number>('s', { ...MINUTE, load: async () => version })
    await space.getMany(['a', 'b', 'c', 'd'])
    server.hang()
    version = 2
    await space.deleteMany(['a', 'b', 'c'])
    expect(cache.stats().redis?.outbox).toBe(1)
    server.resume()
    await eventually(() => expect(cache.stats().redis?.outbox).toBe(0))
    const other = instances.make().space<number>('s', { ...MINUTE, load: async () => version })
    expect(await other.getMany(['a', 'b', 'c', 'd'])).toEqual([2, 2, 2, 2])
  })

  it('rejects where there is to be no outbox, so that nobody takes it for done', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const cache = instances.make({ redisTimeout: 100, outbox: false })
    const space = cache.space<string>('s', { ...MINUTE, load: async () => 'v' })
    await space.get('k')
    await server.kill()
    await expect(space.delete('k')).rejects.toMatchObject({ name: 'BreakwaterError' })
  })

  it('is queued by a Redis that is out of memory, and told when it has some', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const cache = instances.make()
    const space = cache.space<string>('s', { ...MINUTE, load: async () => 'v' })
    await cache.init()
    await instances.redis.config('SET', 'maxmemory', 1)
    expect([await space.clear(), await space.set('k', 'v')]).toEqual(['queued', 'queued'])
    await instances.redis.config('SET', 'maxmemory', 0)
    await eventually(() => expect(cache.stats().redis?.outbox).toBe(0))
  })

  it('is tried once more when the cache is disposed of', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    // By its clock it is never time to try again.
    const leaving = instances.make({ clock: new FakeClock() })
    await leaving.space<string>('s', { ...MINUTE, load: async () => 'old' }).get('k')
    await eventually(async () => expect(await instances.redis.keys(`${instances.namespace}:*:v:*`)).toHaveLength(1))
    await instances.redis.config('SET', 'maxmemory', 1)
    expect(await leaving.clear()).toBe('queued')
    await instances.redis.config('SET', 'maxmemory', 0)
    await leaving.dispose()
    const other = instances.make().space<string>('s', { ...MINUTE, load: async () => 'new' })
    expect(await other.get('k')).toBe('new')
  })

  it('rejects with what Redis answers to a mistake, which it would answer later too', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const cache = instances.make()
    const space = cache.space<string>('s', { ...MINUTE, load: async () => 'v' })
    await cache.init()
    await instances.redis.call('ACL', ['SETUSER', 'default', '-evalsha'])
    await expect(space.delete('k')).rejects.toThrow('NOPERM')
    expect(cache.stats().redis?.outbox).toBe(0)
  })
})
