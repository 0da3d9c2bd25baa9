import { fork } from 'node:child_process'
import { once } from 'node:events'
import { type Clock, systemClock, type Timer } from '@breakwater/kernel'
import { buildProgram, eventually, FakeClock, startProxy, startRedis } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { Cluster, Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { Cache } from '../cache.js'
import { Gate, instancesOn } from '../instances.fixture.js'
import type { RedisLike } from '../redis/client.js'
import { AT } from '../redis/lua.js'
import type { Space } from '../space.js'

/** Holds the replies of a client's reads back until told to let go. Its duplicates are stock. */
function holdReplies(client: Redis): { firstReply: Promise<unknown>; letGo: () => void } {
  let letGo!: () => void
  const held = new Promise<void>(resolve => {
    letGo = resolve
  })
  let noteReply!: (reply: unknown) => void
  const firstReply = new Promise<unknown>(resolve => {
    noteReply = resolve
  })
  const call = client.call.bind(client) as (...args: unknown[]) => Promise<unknown>
  client.call = (async (...args: unknown[]) => {
    const reply = await call(...args)
    if (args[0] === 'mget') noteReply(reply)
    await held
    return reply
  }) as typeof client.call
  return { firstReply, letGo }
}

/** Real time, and what the whole process stood still on top of it. */
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

const MINUTE = { ttl: '1m', jitter: 0 } as const

describe('the client’s shape', () => {
  it('is one that an ioredis client has', () => {
    const clients = [new Redis({ lazyConnect: true }), new Cluster([], { lazyConnect: true })]
    const fit: RedisLike[] = clients
    expect(fit.map(client => client.status)).toEqual(['wait', 'wait'])
    for (const client of clients) client.disconnect()
  })
})

describe('instances that share a Redis', () => {
  it('load a cold key once for all their callers', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<{ id: number }>()
    const spaces = [1, 2, 3, 4].map(() => instances.make().space<{ id: number }>('s', { ...MINUTE, load: gate.load }))
    const entered = gate.entered()
    const callers = spaces.flatMap(space => Array.from({ length: 250 }, () => space.get(1)))
    await entered
    gate.succeed({ id: 1 })
    expect((await Promise.all(callers)).every(value => value?.id === 1)).toBe(true)
    expect(gate.calls).toBe(1)
  })

  const ends: readonly (readonly [
    how: string,
    end: (gate: Gate<string>, other: Space<string>) => unknown,
    then: string,
  ])[] = [
    ['a value', gate => gate.succeed('v'), 'v'],
    ['a failure', gate => gate.fail(new Error('no table')), 'CACHE_LOAD_FAILED_ELSEWHERE'],
    ['a deletion', (_, other) => other.delete('k'), 'loaded anew'],
    ['the end of its freshness', (_, other) => other.expire('k'), 'loaded anew'],
    ['a value that is written', (_, other) => other.set('k', 'written'), 'written'],
  ]
  it.each(ends)('wake those who wait, without a poll, when there is %s', async (_, end, then) => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const [holder, other] = [1, 2].map(() => instances.make().space<string>('s', { ...MINUTE, load: gate.load }))
    // Its clock stands still, and so does its poll.
    const cache = instances.make({ clock: new FakeClock() })
    const waiter = cache.space<string>('s', { ...MINUTE, load: async () => 'loaded anew' })
    await cache.init()
    const channel = `${instances.namespace}:wake:*`
    await eventually(async () => expect(await instances.redis.pubsub('CHANNELS', channel)).toHaveLength(1))
    const entered = gate.entered()
    const first = holder?.get('k').catch(() => {})
    await entered
    const second = waiter.get('k').catch(({ code }) => code)
    await eventually(() => expect(waiter.stats.waits).toBe(1))
    await end(gate, other as Space<string>)
    expect(await second).toBe(then)
    gate.succeed('late')
    await first
  })

  it('share a failed load: the waiters at once, and whoever asks within the back-off', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const a = instances.make().space<string>('s', { ...MINUTE, load: gate.load })
    const b = instances.make().space<string>('s', { ...MINUTE, load: gate.load })
    const entered = gate.entered()
    const first = a.get('k')
    await entered
    const second = b.get('k')
    await eventually(() => expect(b.stats.waits).toBe(1))
    const error = Object.assign(new Error('secret: hunter2'), { code: '57014' })
    gate.fail(error)
    await expect(first).rejects.toBe(error)
    const shared = await second.catch((reason: unknown) => reason)
    expect(shared).toMatchObject({ kind: 'failed', code: 'CACHE_LOAD_FAILED_ELSEWHERE', retryable: true })
    expect(String(shared)).toContain('Error 57014')
    expect(String(shared)).not.toContain('hunter2')
    expect(gate.calls).toBe(1)
    const third = instances.make().space<string>('s', { ...MINUTE, load: gate.load })
    await expect(third.get('k')).rejects.toMatchObject({ code: 'CACHE_LOAD_FAILED_ELSEWHERE' })
  })

  it('take over from a holder that was killed, within its lease', async () => {
    await using instances = instancesOn(testRedis().url)
    const holder = await buildProgram(new URL('lease-holder.fixture.ts', import.meta.url))
    const child = fork(holder.path, [testRedis().url, instances.namespace], { execArgv: holder.execArgv })
    await once(child, 'message')
    const space = instances.make().space<string>('s', { ...MINUTE, leaseTime: '2s', load: async () => 'v' })
    const waiting = space.get('k')
    await eventually(() => expect(space.stats.waits).toBe(1))
    child.kill('SIGKILL')
    await once(child, 'exit')
    const killedAt = performance.now()
    expect(await waiting).toBe('v')
    expect(performance.now() - killedAt).toBeLessThan(4_000)
  })

  it('do not take over from a holder that is slow, since it renews its lease', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const slow = instances.make().space<string>('s', { ...MINUTE, leaseTime: 150, load: gate.load })
    const other = instances.make().space<string>('s', { ...MINUTE, leaseTime: 150, load: async () => 'taken over' })
    const entered = gate.entered()
    const first = slow.get('k')
    await entered
    const second = other.get('k')
    const [lease = ''] = await instances.redis.keys(`${instances.namespace}:*:l:s:k`)
    const token = await instances.redis.get(lease)
    // Seen to be prolonged four times, at a third of its time each: by then it would have ended without.
    for (let renewals = 0, left = 150; renewals < 4; ) {
      const now = await instances.redis.pttl(lease)
      if (now > left) renewals++
      left = now
    }
    expect(await instances.redis.get(lease)).toBe(token)
    gate.succeed('slow')
    expect(await Promise.all([first, second])).toEqual(['slow', 'slow'])
  })

  it('do not give up, nor prolong, a lease that has been lost to another', async () => {
    await using instances = instancesOn(testRedis().url)
    const gates = [new Gate<string>(), new Gate<string>()] as const
    const [a, b] = gates.map(({ load }, i) =>
      instances.make().space<string>('s', { ...MINUTE, leaseTime: i === 0 ? 150 : '1m', load }),
    )
    const options = { ...MINUTE, hardTimeout: '5s', load: async () => 'c' } as const
    const c = instances.make().space<string>('s', options)
    const entered = gates.map(gate => gate.entered())
    const [lost, ended] = [a?.get('k'), a?.get('l')]
    await Promise.all(entered.slice(0, 1))
    await b?.deleteMany(['k', 'l'])
    const held = b?.get('k')
    await entered[1]
    const waiting = c.get('k')
    await eventually(() => expect(c.stats.waits).toBe(1))
    gates[0].fail(new Error('no table'))
    await expect(lost).rejects.toThrow('no table')
    gates[1].succeed('b')
    expect(await Promise.all([held, waiting])).toEqual(['b', 'b'])
    // Whose holder is gone: nobody else renews it.
    const lease = (await instances.redis.keys(`${instances.namespace}:*:v:s:k`))[0]?.replace(':v:s:k', ':l:s:l') ?? ''
    await instances.redis.set(lease, 'Tsomebody', 'PX', 400)
    expect(await c.get('l')).toBe('c')
    gates[0].succeed('late')
    expect(await ended).toBe('late')
  })

  it('take over at once from an instance that is disposed of while it loads', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const leaving = instances.make()
    const a = leaving.space<string>('s', { ...MINUTE, leaseTime: '1m', load: gate.load })
    const b = instances.make().space<string>('s', { ...MINUTE, leaseTime: '1m', load: async () => 'b' })
    const entered = gate.entered()
    const first = expect(a.get('k')).rejects.toMatchObject({ code: 'CACHE_DISPOSED' })
    await entered
    const second = b.get('k')
    await eventually(() => expect(b.stats.waits).toBe(1))
    await leaving.dispose({ deadline: 0 })
    await first
    expect(await second).toBe('b')
  })

  it('keep a value in Redis for its ttl and its grace, and its absence for its own', async () => {
    await using instances = instancesOn(testRedis().url)
    const space = instances.make().space<string, string>('s', {
      ttl: '10s',
      grace: '50s',
      absentTtl: '5s',
      jitter: 0,
      load: async id => (id === 'none' ? null : 'v'),
    })
    await space.getMany(['some', 'none'])
    const life = async (key: string): Promise<number> => {
      const [found = ''] = await instances.redis.keys(`${instances.namespace}:*:v:s:${key}`)
      return Math.round((await instances.redis.pttl(found)) / 1_000)
    }
    await eventually(async () => expect([await life('some'), await life('none')]).toEqual([60, 5]))
  })

  it('refresh a stale value once, behind their callers', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const options = { ttl: 50, grace: '1m', jitter: 0, load: gate.load } as const
    const first = instances.make().space<string>('s', options)
    gate.succeed('old')
    expect(await first.get('k')).toBe('old')
    await eventually(async () =>
      expect(await instances.make().space<string>('s', options).getDetailed('k')).toMatchObject({
        value: 'old',
        source: 'stale',
      }),
    )
    const others = [1, 2, 3].map(() => instances.make().space<string>('s', options))
    expect(await Promise.all(others.flatMap(space => [space.get('k'), space.get('k')]))).toEqual(Array(6).fill('old'))
    await eventually(() => expect(gate.calls).toBe(2))
    gate.succeed('new')
    await eventually(async () => expect(await instances.make().space<string>('s', options).get('k')).toBe('new'))
  })
})

describe('refreshAhead', () => {
  it('has a value that is still fresh loaded by one instance, while the others answer with it', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const load = async (): Promise<string | null> => {
      // Half of a minute by beta: every eighth read draws a refresh.
      await new Promise(resolve => setTimeout(resolve, 300))
      return gate.load()
    }
    const options = { ...MINUTE, load, refreshAhead: 100 }
    const [a, b] = [1, 2].map(() => instances.make().space<string>('s', options)) as [Space<string>, Space<string>]
    gate.succeed('old')
    expect([await a.get('k'), await b.get('k')]).toEqual(['old', 'old'])
    await eventually(async () => {
      expect(await a.get('k')).toBe('old')
      expect(gate.calls).toBe(2)
    })
    const { redisHits } = b.stats
    await eventually(async () => {
      expect(await b.get('k')).toBe('old')
      expect(b.stats.redisHits).toBeGreaterThan(redisHits)
    })
    expect(gate.calls).toBe(2)
    gate.succeed('new')
    await eventually(async () => expect(await instances.make().space<string>('s', options).get('k')).toBe('new'))
  })
})

describe('a value that is written', () => {
  it('beats a load in flight, and reaches every memory', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const [loading, writing] = [1, 2].map(() => instances.make().space<string>('s', { ...MINUTE, load: gate.load }))
    const entered = gate.entered()
    const before = loading?.get('k')
    await entered
    await writing?.set('k', 'written')
    gate.succeed('old')
    expect(await before).toBe('old')
    await eventually(async () => expect(await loading?.get('k')).toBe('written'))
    await eventually(() => expect(loading?.peek('k')).toBe('written'))
    await writing?.set('k', 'written again')
    await eventually(async () => expect(await loading?.get('k')).toBe('written again'))
    expect(gate.calls).toBe(1)
  })
})

describe('an invalidation', () => {
  it('beats a load in flight on the same instance', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const space = instances.make().space<string>('s', { ...MINUTE, load: gate.load })
    const entered = gate.entered()
    const before = space.get('k')
    await entered
    await space.delete('k')
    gate.succeed('old')
    expect(await before).toBe('old')
    gate.succeed('new')
    expect(await space.get('k')).toBe('new')
    expect(
      await instances
        .make()
        .space<string>('s', { ...MINUTE, load: gate.load })
        .get('k'),
    ).toBe('new')
  })

  it('beats a load in flight on another instance', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const loading = instances.make().space<string>('s', { ...MINUTE, load: gate.load })
    const deleting = instances.make().space<string>('s', { ...MINUTE, load: gate.load })
    const entered = gate.entered()
    const before = loading.get('k')
    await entered
    await deleting.delete('k')
    gate.succeed('old')
    expect(await before).toBe('old')
    gate.succeed('new')
    expect(await deleting.get('k')).toBe('new')
    await eventually(async () => expect(await loading.get('k')).toBe('new'))
  })

  it('beats a refresh behind', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const space = instances.make().space<string>('s', { ttl: 20, grace: '1m', jitter: 0, load: gate.load })
    gate.succeed('old')
    await space.get('k')
    await eventually(async () => {
      // Not refreshed before what was loaded first is stored.
      expect((await space.getDetailed('k')).source).toBe('stale')
      expect(gate.calls).toBe(2)
    })
    await space.delete('k')
    gate.succeed('older still')
    gate.succeed('new')
    expect(await space.get('k')).toBe('new')
  })

  const reads: readonly (readonly [how: string, read: (space: Space<number>) => Promise<number | null | undefined>])[] =
    [
      ['a read', space => space.get('k')],
      ['a read of many', async space => (await space.getMany(['l', 'k']))[1]],
    ]
  it.each(reads)('beats %s whose reply was under way when it came', async (_, read) => {
    await using instances = instancesOn(testRedis().url)
    let version = 1
    const load = async (): Promise<number> => version
    const writerCache = instances.make()
    const writer = writerCache.space<number>('s', { ...MINUTE, load })
    await writerCache.init()
    await writer.getMany(['k', 'l'])
    await eventually(async () => expect(await instances.redis.keys(`${instances.namespace}:*:v:*`)).toHaveLength(2))
    const client = new Redis(testRedis().url)
    const cache = new Cache({ redis: client, namespace: instances.namespace, redisTimeout: '3s' })
    const reader = cache.space<number>('s', { ...MINUTE, load })
    await cache.init()
    const { firstReply, letGo } = holdReplies(client)
    const before = read(reader)
    await firstReply
    version = 2
    await writer.delete('k')
    await eventually(() => expect(cache.stats().redis?.invalidations).toBe(1))
    letGo()
    expect(await before).toBe(1)
    expect(await read(reader)).toBe(2)
    await cache.dispose()
    client.disconnect()
  })

  it('reaches the memory of every other instance', async () => {
    await using instances = instancesOn(testRedis().url)
    let version = 1
    const caches = [1, 2, 3].map(() => instances.make())
    const spaces = caches.map(cache => cache.space<number>('s', { ...MINUTE, load: async () => version }))
    await Promise.all(caches.map(cache => cache.init()))
    await Promise.all(spaces.map(space => space.get('k')))
    await eventually(() => expect(spaces.map(space => space.peek('k'))).toEqual([1, 1, 1]))
    version = 2
    await spaces[0]?.delete('k')
    await eventually(() => expect(spaces.map(space => space.peek('k'))).toEqual([undefined, undefined, undefined]))
    expect(await Promise.all(spaces.map(space => space.get('k')))).toEqual([2, 2, 2])
  })

  it('that an instance missed while cut off leaves it with no stale value', async () => {
    await using server = await startRedis({ own: true })
    await using proxy = await startProxy(server)
    await using near = instancesOn(server.url)
    const client = new Redis(proxy.url(server.url), { maxRetriesPerRequest: null, retryStrategy: () => 20 })
    client.on('error', () => {})
    let version = 1
    const cache = new Cache({ redis: client, namespace: near.namespace })
    const far = cache.space<number>('s', { ...MINUTE, load: async () => version })
    await cache.init()
    await far.get('k')
    await eventually(() => expect(far.peek('k')).toBe(1))
    proxy.refuse()
    proxy.cut()
    version = 2
    await near
      .make()
      .space<number>('s', { ...MINUTE })
      .delete('k')
    await eventually(() => expect(far.peek('k')).toBeUndefined())
    await proxy.heal()
    await cache.init()
    expect(await far.get('k')).toBe(2)
    await cache.dispose()
    client.disconnect()
  })
})

describe('a clear', () => {
  it('empties a space on every instance and in Redis, and no other space', async () => {
    await using instances = instancesOn(testRedis().url)
    let version = 1
    const load = async (): Promise<number> => version
    const caches = [instances.make(), instances.make()] as const
    const rows = caches.map(cache => cache.space<number>('rows', { ...MINUTE, load }))
    const others = caches.map(cache => cache.space<number>('others', { ...MINUTE, load }))
    await Promise.all(caches.map(cache => cache.init()))
    for (const space of [...rows, ...others]) await space.get('k')
    await eventually(() => expect(rows.map(space => space.peek('k'))).toEqual([1, 1]))
    version = 2
    await rows[0]?.clear()
    expect(await rows[0]?.get('k')).toBe(2)
    await eventually(() => expect(rows[1]?.peek('k')).not.toBe(1))
    expect(await rows[1]?.get('k')).toBe(2)
    expect(await Promise.all(others.map(space => space.get('k')))).toEqual([1, 1])
    await caches[1].clear()
    version = 3
    expect(await others[1]?.get('k')).toBe(3)
    await eventually(async () => expect(await others[0]?.get('k')).toBe(3))
  })

  it('beats a load in flight on another instance', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const loading = instances.make().space<string>('s', { ...MINUTE, load: gate.load })
    const clearing = instances.make()
    const other = clearing.space<string>('s', { ...MINUTE, load: gate.load })
    const entered = gate.entered()
    const before = loading.get('k')
    await entered
    await clearing.clear()
    gate.succeed('old')
    expect(await before).toBe('old')
    const keysOf = (kind: string): Promise<string[]> => instances.redis.keys(`${instances.namespace}:*:${kind}:s:k`)
    await eventually(async () => expect(await keysOf('l')).toEqual([]))
    expect(await keysOf('v')).toEqual([])
    gate.succeed('new')
    expect(await other.get('k')).toBe('new')
    await eventually(async () => expect(await loading.get('k')).toBe('new'))
  })

  it('leaves what is stored after it, for instances that come later too', async () => {
    await using instances = instancesOn(testRedis().url)
    const first = instances.make().space<string>('s', { ...MINUTE, load: async () => 'loaded' })
    await first.clear()
    await first.set('a', 'set')
    await first.get('b')
    const later = instances.make().space<string>('s', { ...MINUTE, load: async () => 'loaded again' })
    await eventually(async () => expect(await later.getMany(['a', 'b'])).toEqual(['set', 'loaded']))
  })
})

describe('expire and deleteMany', () => {
  it('make a value old on every instance, still servable, and refreshed once', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const caches = [instances.make(), instances.make()] as const
    const options = { ttl: '1m', grace: '1m', jitter: 0, load: gate.load } as const
    const [a, b] = [caches[0].space<string>('s', options), caches[1].space<string>('s', options)]
    await Promise.all(caches.map(cache => cache.init()))
    gate.succeed('old')
    expect([await a.get('k'), await b.get('k')]).toEqual(['old', 'old'])
    await eventually(() => expect([a.peek('k'), b.peek('k')]).toEqual(['old', 'old']))
    const [value = ''] = await instances.redis.keys(`${instances.namespace}:*:v:s:k`)
    await a.expire('k')
    // Its grace counts from here.
    expect(await instances.redis.pttl(value)).toBeLessThanOrEqual(60_000)
    await eventually(() => expect(b.peek('k')).toBeUndefined())
    const entered = gate.entered()
    expect(await Promise.all([a.getDetailed('k'), b.getDetailed('k')])).toMatchObject([
      { value: 'old', source: 'stale' },
      { value: 'old', source: 'stale' },
    ])
    await entered
    gate.succeed('new')
    await eventually(async () => expect([await a.get('k'), await b.get('k')]).toEqual(['new', 'new']))
    expect(gate.calls).toBe(2)
  })

  it('take the lease from a load that had begun before', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const a = instances.make().space<string>('s', { ...MINUTE, grace: '1m', load: gate.load })
    const b = instances.make().space<string>('s', { ...MINUTE, grace: '1m', load: gate.load })
    const entered = gate.entered()
    const before = a.get('k')
    await entered
    await b.expire('k')
    gate.succeed('old')
    expect(await before).toBe('old')
    gate.succeed('new')
    expect(await b.get('k')).toBe('new')
  })

  it('remove many keys at once', async () => {
    await using instances = instancesOn(testRedis().url)
    let version = 1
    const space = instances.make().space<number, number>('s', { ...MINUTE, load: async () => version })
    expect(await space.getMany([1, 2, 3])).toEqual([1, 1, 1])
    version = 2
    await space.deleteMany([1, 3])
    expect(await space.getMany([1, 2, 3])).toEqual([2, 1, 2])
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

describe('when Redis fails', () => {
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
    const cache = instances.make({ redisTimeout: 300 })
    const space = cache.space<string>('s', { ...MINUTE, load: async id => `v${String(id)}` })
    await cache.init()
    server.hang()
    expect(await space.get('first')).toBe('vfirst')
    expect(cache.stats().redis?.breaker).toBe('open')
    const startedAt = performance.now()
    for (let i = 0; i < 20; i++) await space.get(`next${i}`)
    // One that had waited would have taken 300 ms by itself.
    expect(performance.now() - startedAt).toBeLessThan(250)
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

  it('takes poisoned entries for misses, counts them and removes them', async () => {
    await using instances = instancesOn(testRedis().url)
    const writer = instances.make().space<string>('s', { ...MINUTE, load: async () => 'good' })
    await writer.get('k')
    let valueKey = ''
    await eventually(async () => {
      ;[valueKey = ''] = await instances.redis.keys(`${instances.namespace}:*:v:s:k`)
      expect(valueKey).not.toBe('')
    })
    const good = (await instances.redis.get(valueKey)) ?? ''
    const [header, body] = [good.slice(0, AT.meta), good.slice(AT.meta)]
    const replaced = (at: number, by: string): string => header.slice(0, at) + by + header.slice(at + by.length) + body
    const elsewhere = replaced(AT.stamp, 'elsewhere.')
    for (const poison of [
      '',
      'x',
      replaced(0, '1'),
      `1${elsewhere.slice(1)}`,
      `${header}{"broken`,
      elsewhere,
      replaced(AT.kind, 'X'),
      replaced(AT.kind, 'C'),
      replaced(AT.metaLength, '9999'),
      replaced(AT.metaLength, '0004'),
      replaced(AT.metaLength, 'four'),
      Buffer.from([...Buffer.from(header), 0xff, 0xfe]),
    ]) {
      await instances.redis.set(valueKey, poison)
      const reader = instances.make().space<string>('s', { ...MINUTE, load: async () => 'good' })
      expect(await reader.get('k')).toBe('good')
      // Of an epoch that is over is no fault.
      expect(reader.stats.poisoned, String(poison)).toBe(poison === elsewhere ? 0 : 1)
      await eventually(async () => expect(await instances.redis.get(valueKey)).toMatch(/^2V[\da-f]+"good"$/))
    }
  })
})
