import { type Clock, systemClock } from '@breakwater/kernel'
import { eventually, FakeClock, startProxy } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { Cache } from '../cache.js'
import { HoldingRedis } from '../holding-redis.fixture.js'
import { instancesOn } from '../instances.fixture.js'
import type { Space } from '../space.js'
import { InvalidationLog } from './invalidation-log.js'
import { APPEND_TO } from './lua.js'
import { type Shard, Shards } from './shards.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const

/** Two instances: `near`, and `far` whose connections go through a proxy; each has read 'a' and 'b', and `near` 'c'. */
async function cutOff(options: { grace?: number } = {}) {
  const instances = instancesOn(testRedis().url)
  const proxy = await startProxy(testRedis())
  const client = new HoldingRedis(proxy.url(testRedis().url), {
    maxRetriesPerRequest: null,
    retryStrategy: () => 20,
    disconnectTimeout: 50,
    connectionName: instances.namespace,
  })
  client.on('error', () => {})
  let version = 1
  const load = async (): Promise<number> => version
  const cache = new Cache({ redis: client, namespace: instances.namespace, redisTimeout: '5s', maxLag: '20s' })
  const nearCache = instances.make()
  const tags = (id: unknown): string[] => [`tag of ${id}`]
  const declare = (of: Cache): Space<number> => of.space<number>('s', { ...MINUTE, ...options, tags, load })
  const [near, far] = [declare(nearCache), declare(cache)]
  await Promise.all([nearCache.init(), cache.init()])
  await Promise.all([far.getMany(['a', 'b']), near.getMany(['a', 'b', 'c'])])
  await eventually(async () => expect(await instances.redis.keys(`${instances.namespace}:*:v:*`)).toHaveLength(3))
  return {
    instances,
    proxy,
    client,
    cache,
    nearCache,
    near,
    far,
    change: () => version++,
    /** Closes what `far` follows the log by, and nothing else; it cannot connect again. */
    async closeFollower() {
      proxy.refuse()
      const follows = new RegExp(`^id=(\\d+) .* name=${instances.namespace} .* cmd=xread`, 'm')
      // Not between two of its reads.
      await eventually(async () => {
        const [, id = ''] = follows.exec(String(await instances.redis.client('LIST'))) ?? []
        await instances.redis.client('KILL', 'ID', id)
      })
    },
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

/** A follower by itself, whose connections go through a proxy, and what it has heard. */
async function follower(maxLagMs: number, clock: Clock = systemClock) {
  const instances = instancesOn(testRedis().url)
  const proxy = await startProxy(testRedis())
  const settings = { maxRetriesPerRequest: null, connectionName: instances.namespace }
  const client = new Redis(proxy.url(testRedis().url), settings)
  client.on('error', () => {})
  const options = { clock, timeoutMs: 5_000, outboxSize: 1, replicas: 0 }
  const shards = new Shards(client, instances.namespace, options)
  const heard: string[] = []
  const log = new InvalidationLog(shards.all[0] as Shard, clock, maxLagMs, {
    onBegin: () => heard.push('begin'),
    onEntry: (_, subject) => heard.push(subject),
    onGap: () => heard.push('gap'),
  })
  const near = instances.make().space<number, number>('s', { ...MINUTE, load: async () => 1 })
  log.start()
  await log.following()
  return {
    instances,
    proxy,
    log,
    heard,
    near,
    async [Symbol.asyncDispose]() {
      log.dispose()
      shards.dispose()
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
    for (const key of ['x', 'a']) await at.near.delete(key)
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

  it('forgets then what it knew of tags, too', async () => {
    await using at = await cutOff()
    at.proxy.refuse()
    at.proxy.cut()
    at.change()
    await at.nearCache.deleteByTag('tag of a')
    const [log = ''] = await keysOf(at, 'log')
    await at.instances.redis.xtrim(log, 'MAXLEN', 0)
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

  const others = [
    ['is another process', 0, (server: string) => server.replace(/^\w+/, 'another')],
    ['has begun another history of writes', 60_000, (server: string) => server.replace(/\w+$/, 'another')],
  ] as const
  for (const [what, grace, other] of others) {
    it(`takes what it has for old when the server ${what} (grace ${grace})`, async () => {
      await using at = await cutOff({ grace })
      at.change()
      const [state = ''] = await keysOf(at, 'state')
      // As a replica would have it that was promoted without the last invalidations.
      await at.instances.redis.hset(state, 'r', other((await at.instances.redis.hget(state, 'r')) ?? ''))
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
      const late = at.instances.make().space<number>('s', { ...MINUTE, grace, load: async () => 2 })
      expect(await late.getDetailed('b')).toMatchObject(grace === 0 ? { value: 2 } : { value: 1, source: 'stale' })
      // What was stored since is not.
      const later = at.instances.make().space<number>('s', { ...MINUTE, grace, load: async () => 3 })
      await eventually(async () => expect(await later.get('a')).toBe(2))
    })
  }

  const ways: readonly (readonly [what: string, act: (at: Awaited<ReturnType<typeof cutOff>>) => Promise<unknown>])[] =
    [
      [
        'entries were missed',
        async at => {
          await at.closeFollower()
          for (const key of ['c', 'x']) await at.near.delete(key)
          await at.instances.redis.xtrim((await keysOf(at, 'log'))[0] ?? '', 'MAXLEN', 1)
          await at.proxy.heal()
          await eventually(() => expect(at.cache.stats().redis?.gaps).toBe(1), 15_000)
        },
      ],
      [
        'another server was found',
        async at => {
          await at.instances.redis.hset((await keysOf(at, 'state'))[0] ?? '', 'r', 'the server before')
          const { invalidations = 0 } = at.cache.stats().redis ?? {}
          await at.instances.make().init()
          await eventually(() => expect(at.cache.stats().redis?.invalidations).toBeGreaterThan(invalidations))
        },
      ],
    ]
  it.each(ways)('keeps nothing that was being read when %s', async (_, act) => {
    await using at = await cutOff()
    const letGo = at.client.hold()
    const { reads } = at.client
    const before = at.far.get('c')
    await eventually(() => expect(at.client.reads).toBeGreaterThan(reads))
    at.change()
    await act(at)
    letGo()
    expect(await before).toBe(1)
    expect(await at.far.get('c')).toBe(2)
  })

  it('does not believe what was kept, or being read, before it heard anything', async () => {
    await using instances = instancesOn(testRedis().url)
    await using proxy = await startProxy(testRedis())
    const client = new HoldingRedis(proxy.url(testRedis().url), { maxRetriesPerRequest: null })
    let version = 1
    const load = async (): Promise<number> => version
    const near = instances.make().space<number>('s', { ...MINUTE, load })
    await near.getMany(['a', 'b'])
    await eventually(async () => expect(await instances.redis.keys(`${instances.namespace}:*:v:*`)).toHaveLength(2))
    await client.ping()
    // Its own connection is there; that to the log cannot be opened yet.
    proxy.refuse()
    const cache = new Cache({ redis: client, namespace: instances.namespace, redisTimeout: '5s' })
    const far = cache.space<number>('s', { ...MINUTE, load })
    expect(await far.get('a')).toBe(1)
    const letGo = client.hold()
    const { reads } = client
    const before = far.get('b')
    await eventually(() => expect(client.reads).toBeGreaterThan(reads))
    version = 2
    await near.deleteMany(['a', 'b'])
    await proxy.heal()
    await cache.init({ deadline: '15s' })
    letGo()
    expect(await before).toBe(1)
    expect(await far.getMany(['a', 'b'])).toEqual([2, 2])
    await cache.dispose()
    client.disconnect()
  })

  it('gives no later caller what a load has brought while it hears nothing, not even until Redis has stored that', async () => {
    await using instances = instancesOn(testRedis().url)
    await using proxy = await startProxy(testRedis())
    const client = new HoldingRedis(proxy.url(testRedis().url), { maxRetriesPerRequest: null })
    await client.ping()
    proxy.refuse()
    const cache = new Cache({ redis: client, namespace: instances.namespace, redisTimeout: 300 })
    let version = 1
    let letGo = (): void => {}
    const load = async (): Promise<number> => {
      letGo = client.stall()
      return version++
    }
    const space = cache.space<number>('s', { ...MINUTE, load })
    expect(await space.get('k')).toBe(1)
    // Redis has not been told yet, nor has it answered this one.
    expect(await space.get('k')).toBe(2)
    letGo()
    await cache.dispose()
    client.disconnect()
  })

  it('forgets all for an entry of a kind that it does not know, unless that is said to take nothing', async () => {
    await using at = await cutOff()
    await at.near.delete('x')
    const append = `${APPEND_TO} return appendTo(KEYS[1], KEYS[2], ARGV[1], 'subject')`
    const [log = '', state = ''] = [(await keysOf(at, 'log'))[0], (await keysOf(at, 'state'))[0]]
    await at.instances.redis.eval(append, 2, log, state, 'of a later version?')
    await eventually(() => expect(at.cache.stats().redis?.invalidations).toBe(2))
    expect(at.far.peek('a')).toBe(1)
    await at.instances.redis.eval(append, 2, log, state, 'of a later version')
    await eventually(() => expect(at.far.peek('a')).toBeUndefined())
  })

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
    await using at = await follower(20_000)
    at.proxy.setLatency(400)
    await eventually(async () => {
      await at.near.delete(1)
      expect(at.log.longestLagMs).toBeGreaterThan(100)
    })
    expect(at.log.lagMs).toBeLessThanOrEqual(at.log.longestLagMs)
    expect(at.log.longestLagMs).toBeLessThan(5_000)
  })
})

describe('the trust in what is held', () => {
  it('counts from when the request was sent that was answered', async () => {
    const clock = new FakeClock()
    await using at = await follower(60_000, clock)
    const waiting = new RegExp(` name=${at.instances.namespace} .* flags=b .* cmd=xread`)
    const sent = (): Promise<void> =>
      eventually(async () => expect(await at.instances.redis.client('LIST')).toMatch(waiting))
    await sent()
    await clock.advance(35_000)
    await at.near.delete(1)
    await eventually(() => expect(at.heard).toContain('s:1'))
    await sent()
    await clock.advance(24_999)
    expect(at.log.isFollowing).toBe(true)
    await clock.advance(1)
    expect(at.log.isFollowing).toBe(false)
  })

  it('comes back only with all that was missed, however much that is', async () => {
    await using at = await follower(300)
    at.proxy.refuse()
    at.proxy.cut()
    await at.near.deleteMany(Array.from({ length: 1_001 }, (_, id) => id))
    await eventually(() => expect(at.log.isFollowing).toBe(false))
    await at.proxy.heal()
    await at.log.following()
    expect(at.heard).toHaveLength(1 + 1_001)
  })

  it('ends with a connection that is silent, in whose place another is opened', async () => {
    await using at = await follower(300)
    await at.proxy.waitForConnections(2)
    at.proxy.halfOpen()
    await eventually(() => expect(at.log.isFollowing).toBe(false))
    await at.proxy.heal()
    await at.log.following()
    await at.proxy.waitForConnections(2)
    await at.near.delete(1)
    await eventually(() => expect(at.heard).toEqual(['begin', 's:1']))
  })
})
