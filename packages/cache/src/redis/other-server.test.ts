/** What is promised where another server takes the place of the one that an instance is connected to, and nobody tells it. */

import { eventually, type RedisServer, startProxy, startRedis } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { Cache } from '../cache.js'
import { CountingRedis, instancesOn } from '../instances.fixture.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const

/**
 * A master that has a successor and does not know it, as behind Sentinels one that was frozen or cut off: who is connected to
 * it stays, and who connects anew gets the other. `here` is an instance that has stayed with both its connections; `there`
 * is one that is connected to the successor. Each has 'k', of version 1.
 */
async function succeeded(options: { memory?: false } = {}) {
  // Without it a new replica is empty for five seconds.
  const own = { own: true, settings: { 'repl-diskless-sync-delay': '0' } }
  const [old, successor] = await Promise.all([startRedis(own), startRedis(own)])
  const [oldAdmin, newAdmin] = [new Redis(old.url), new Redis(successor.url)] as const
  const proxy = await startProxy(old)
  const client = new Redis(proxy.url(old.url), {
    maxRetriesPerRequest: null,
    retryStrategy: () => 20,
    disconnectTimeout: 50,
  })
  client.on('error', () => {})
  let version = 1
  const load = async (): Promise<number> => version
  await newAdmin.replicaof(old.host, old.port)
  await eventually(async () => expect(await newAdmin.info('replication')).toContain('master_link_status:up'))
  const others = instancesOn(successor.url)
  const cache = new Cache({ redis: client, namespace: others.namespace, redisTimeout: '5s', ...options })
  const here = cache.space<number>('s', { ...MINUTE, load })
  await cache.init()
  await here.get('k')
  await eventually(async () => expect(await newAdmin.keys('*:v:s:k')).toHaveLength(1))
  proxy.redirect(successor)
  await newAdmin.replicaof('NO', 'ONE')
  const otherCache = others.make()
  const there = otherCache.space<number>('s', { ...MINUTE, load })
  await otherCache.init()
  await there.get('k')
  /** Has the old master close what `here` is connected by: its client, or what it follows the log by. */
  const move = async (which: 'client' | 'follower'): Promise<void> => {
    const isToMove = which === 'follower' ? / cmd=xread/ : / cmd=(?!xread|client)/
    // The follower is not found between two of its reads.
    await eventually(async () => {
      const connections = String(await oldAdmin.client('LIST'))
        .trim()
        .split('\n')
      const ids = connections.filter(each => isToMove.test(each)).map(each => /\bid=(\d+)/.exec(each)?.[1] ?? '')
      expect(ids).not.toEqual([])
      for (const id of ids) await oldAdmin.client('KILL', 'ID', id)
    })
  }
  return {
    cache,
    here,
    there,
    move,
    change: () => version++,
    /** Resolves when `here` hears what the successor is told. */
    async heard() {
      await eventually(async () => {
        await there.delete('x')
        expect(cache.stats().redis?.invalidations).toBeGreaterThan(0)
      })
    },
    async [Symbol.asyncDispose]() {
      await cache.dispose({ deadline: 200 })
      for (const each of [client, oldAdmin, newAdmin]) each.disconnect()
      await others[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
      await Promise.all([old, successor].map((server: RedisServer) => server[Symbol.asyncDispose]()))
    },
  }
}

describe('a master that has a successor and does not know it', () => {
  it('is not read by who follows the log of the successor, and what it is told is told that too', async () => {
    await using at = await succeeded({ memory: false })
    expect((await at.here.getDetailed('k')).source).toBe('redis')
    await at.move('follower')
    await at.heard()
    at.change()
    await at.there.delete('k')
    expect(await at.here.getDetailed('k')).toMatchObject({ value: 2, source: 'loader' })
    expect(await at.there.get('k')).toBe(2)
    at.change()
    expect(await at.here.delete('k')).toBe('queued')
    expect(await at.here.getDetailed('k')).toMatchObject({ value: 3, source: 'loader' })
    expect(at.there.peek('k')).toBe(2)
    await at.move('client')
    await eventually(() => expect(at.there.peek('k')).toBeUndefined())
    await eventually(async () => expect((await at.here.getDetailed('k')).source).toBe('redis'))
    expect(await at.here.delete('k')).toBe('applied')
  })

  it('is not followed any more by who reads from the successor', async () => {
    await using at = await succeeded()
    await at.move('client')
    await at.heard()
    await eventually(async () => expect((await at.here.getDetailed('k')).source).toBe('memory'))
    at.change()
    await at.there.delete('k')
    await eventually(() => expect(at.here.peek('k')).toBeUndefined())
    expect(await at.here.get('k')).toBe(2)
  })
})

describe('a server that nobody has looked at', () => {
  const askings: readonly (readonly [when: string, ask: (client: CountingRedis, read: () => void) => Promise<void>])[] =
    [
      [
        'was asked by the connection before',
        async (client, read) => {
          const { asked } = client
          read()
          await eventually(() => expect(client.asked).toBeGreaterThan(asked))
        },
      ],
      [
        'was asked as soon as there is a connection',
        async (client, read) => {
          // What is sent before the client is ready goes in the order in which it was asked for.
          client.once('connect', read)
        },
      ],
    ]
  it.each(askings)('is not believed what a script answers that %s', async (_, ask) => {
    await using proxy = await startProxy(testRedis())
    await using others = instancesOn(testRedis().url)
    const client = new CountingRedis(proxy.url(testRedis().url), {
      maxRetriesPerRequest: null,
      // Before anyone else has looked at the server.
      retryStrategy: () => 1,
      disconnectTimeout: 50,
    })
    client.on('error', () => {})
    let version = 1
    const load = async (): Promise<number> => version
    const cache = new Cache({ redis: client, namespace: others.namespace, redisTimeout: '5s' })
    const here = cache.space<number>('s', { ...MINUTE, ttl: 50, grace: '1m', softTimeout: '10s', load })
    const there = others.make().space<number>('s', { ...MINUTE, grace: '1m', load })
    await cache.init()
    await here.get('k')
    await eventually(() => expect([cache.stats().memory.entries, here.peek('k')]).toEqual([1, undefined]))
    // Refreshed in Redis, and old here.
    await eventually(async () => expect((await there.getDetailed('k')).source).toBe('memory'))
    proxy.halfOpen()
    const read = new Promise<number | null>(resolve => {
      void ask(client, () => resolve(here.get('k'))).then(async () => {
        version = 2
        const [state = ''] = await others.redis.keys(`${others.namespace}:*:state`)
        await others.redis.hset(state, 'r', 'the server before')
        await proxy.heal()
        proxy.cut()
      })
    })
    expect(await read).toBe(2)
    await cache.dispose()
    client.disconnect()
  })
})

describe('a master that may write no more', () => {
  it('is not believed: what it cannot be told, nobody would hear', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const caches = [instances.make(), instances.make({ memory: false })] as const
    let version = 1
    const [held, read] = caches.map(cache => cache.space<number>('s', { ...MINUTE, load: async () => version }))
    await Promise.all(caches.map(cache => cache.init()))
    expect([await held?.get('k'), await read?.get('k')]).toEqual([1, 1])
    await instances.redis.config('SET', 'min-replicas-to-write', 1)
    await eventually(() => expect(caches.map(cache => cache.stats().redis?.following)).toEqual([false, false]))
    version = 2
    await eventually(async () => expect(await read?.get('k')).toBe(2))
    expect([await held?.get('k'), await read?.get('k')]).toEqual([2, 2])
    expect(await held?.delete('k')).toBe('queued')
    await instances.redis.config('SET', 'min-replicas-to-write', 0)
    await eventually(() => expect(caches[0].stats().redis).toMatchObject({ following: true, outbox: 0 }))
    await eventually(async () => expect(await read?.getDetailed('k')).toMatchObject({ value: 2, source: 'redis' }))
  })
})
