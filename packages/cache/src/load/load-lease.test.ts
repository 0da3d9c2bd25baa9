import { fork } from 'node:child_process'
import { once } from 'node:events'
import { buildProgram, eventually, FakeClock } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { describe, expect, it } from 'vitest'
import { CountingRedis, Gate, instancesOn, instancesWith } from '../instances.fixture.js'
import type { Space } from '../space.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const

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
    // It may hear of the failure before the first caller does.
    const second = b.get('k').catch((reason: unknown) => reason)
    await eventually(() => expect(b.stats.waits).toBe(1))
    const error = Object.assign(new Error('secret: hunter2'), { code: '57014' })
    gate.fail(error)
    await expect(first).rejects.toBe(error)
    const shared = await second
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
    const clock = new FakeClock()
    const gate = new Gate<string>()
    const options = { ...MINUTE, leaseTime: '9s', hardTimeout: '1h' } as const
    const slow = instances.make({ clock }).space<string>('s', { ...options, load: gate.load })
    const other = instances.make().space<string>('s', { ...options, load: async () => 'taken over' })
    const entered = gate.entered()
    const first = slow.get('k')
    await entered
    const second = other.get('k')
    const [lease = ''] = await instances.redis.keys(`${instances.namespace}:*:l:s:k`)
    const token = await instances.redis.get(lease)
    // At a third of its time each: by the fourth it would have ended without.
    for (let renewals = 0; renewals < 4; renewals++) {
      await instances.redis.pexpire(lease, 8_000)
      await clock.advance(3_000)
      await eventually(async () => expect(await instances.redis.pttl(lease)).toBeGreaterThan(8_000))
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

  it('ask once for each wake-up, and go on waiting for whoever has the lease then', async () => {
    await using instances = instancesWith(() => new CountingRedis(testRedis().url))
    const gate = new Gate<string>()
    // Their clocks stand still, and so do their polls.
    const caches = [1, 2, 3].map(() => instances.make({ clock: new FakeClock() }))
    const spaces = caches.map(cache => cache.space<string>('s', { ...MINUTE, load: gate.load }))
    await Promise.all(caches.map(cache => cache.init()))
    const channel = `${instances.namespace}:wake:*`
    await eventually(async () => expect(await instances.redis.pubsub('CHANNELS', channel)).toHaveLength(3))
    const entered = gate.entered()
    const first = spaces[0]?.get('k')
    await entered
    const others = spaces.slice(1).map(space => space.get('k'))
    await eventually(() => expect(spaces.map(({ stats }) => stats.waits)).toEqual([0, 1, 1]))
    await spaces[0]?.delete('k')
    // One of them loads it now, and the other waits for that.
    const asked = (): number => instances.made.reduce((sum, client) => sum + client.asked, 0)
    await eventually(async () => {
      const before = asked()
      for (let i = 0; i < 10; i++) await instances.redis.ping()
      expect([gate.calls, asked()]).toEqual([2, before])
    })
    gate.succeed('old')
    gate.succeed('new')
    expect(await Promise.all([first, ...others])).toEqual(['old', 'new', 'new'])
  })

  it('leave a refresh to another when they are to end', async () => {
    await using instances = instancesOn(testRedis().url)
    const options = { ...MINUTE, grace: '1m' } as const
    const leaving = instances.make()
    const a = leaving.space<string>('s', { ...options, load: async () => 'by the one that ends' })
    const b = instances.make().space<string>('s', { ...options, load: async () => 'by another' })
    await a.set('k', 'old')
    await a.expire('k')
    leaving.startDraining()
    expect(await a.getDetailed('k')).toMatchObject({ value: 'old', source: 'stale' })
    await eventually(async () => expect(await b.get('k')).toBe('by another'))
    expect(a.stats.loads).toBe(0)
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
