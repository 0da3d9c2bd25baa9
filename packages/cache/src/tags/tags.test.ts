import { eventually, FakeClock } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import type { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { Cache } from '../cache.js'
import { Gate, instancesOn } from '../instances.fixture.js'
import { MOST_TAGS } from '../redis/lua.js'
import type { Space } from '../space.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const

describe('a tag', () => {
  it('takes every value under it, in every space and on every instance, and no other', async () => {
    await using instances = instancesOn(testRedis().url)
    let version = 1
    const load = async (): Promise<number> => version
    const caches = [instances.make(), instances.make()] as const
    const users = caches.map(cache =>
      cache.space<number>('user', { ...MINUTE, load, tags: id => [`team:${id === 'ann' ? 1 : 2}`, 'all'] }),
    )
    const teams = caches.map(cache => cache.space<number>('team', { ...MINUTE, load, tags: ['team:1'] }))
    await Promise.all(caches.map(cache => cache.init()))
    const read = async (): Promise<(number | null)[][]> =>
      Promise.all(
        users.map(async (space, i) => [...(await space.getMany(['ann', 'bob'])), (await teams[i]?.get(1)) ?? 0]),
      )
    expect(await read()).toEqual([
      [1, 1, 1],
      [1, 1, 1],
    ])
    version = 2
    expect(await caches[0].deleteByTag('team:1')).toBe('applied')
    expect(users[0]?.peek('ann')).toBeUndefined()
    await eventually(() => expect(users[1]?.peek('ann')).toBeUndefined())
    expect(await read()).toEqual([
      [2, 1, 2],
      [2, 1, 2],
    ])
    version = 3
    await caches[1].deleteByTag('all')
    await eventually(async () =>
      expect(await read()).toEqual([
        [3, 3, 2],
        [3, 3, 2],
      ]),
    )
  })

  it('takes a value that is being loaded, also one whose loader names the tag at its end', async () => {
    await using instances = instancesOn(testRedis().url)
    const gate = new Gate<string>()
    const loading = instances.make().space<string>('s', {
      ...MINUTE,
      load: async (_, { setTags }) => {
        const value = await gate.load()
        setTags(['late, and with a comma'])
        return value
      },
    })
    const deleting = instances.make()
    const other = deleting.space<string>('s', { ...MINUTE, load: async () => 'new' })
    const entered = gate.entered()
    const before = loading.get('k')
    await entered
    await deleting.deleteByTag('late, and with a comma')
    gate.succeed('old')
    expect(await before).toBe('old')
    await eventually(async () => expect(await instances.redis.keys(`${instances.namespace}:*:l:s:k`)).toEqual([]))
    expect(await other.get('k')).toBe('new')
    await eventually(async () => expect(await loading.get('k')).toBe('new'))
  })

  it('counts for a value that is written, and for one that comes after its deletion', async () => {
    await using instances = instancesOn(testRedis().url)
    const cache = instances.make()
    const space = cache.space<string>('s', { ...MINUTE, load: async () => 'loaded' })
    await space.set('k', 'written', { tags: ['t'] })
    expect(await space.get('k')).toBe('written')
    await cache.deleteByTag('t')
    expect(await space.get('k')).toBe('loaded')
    await space.set('k', 'after', { tags: ['t'] })
    expect(
      await instances
        .make()
        .space<string>('s', { ...MINUTE, load: () => null })
        .get('k'),
    ).toBe('after')
  })

  it('takes everything under any tag when Redis has lost which ones were deleted', async () => {
    await using instances = instancesOn(testRedis().url)
    const cache = instances.make()
    let version = 1
    const load = async (): Promise<number> => version
    const declare = (of: Cache) =>
      ['tagged', 'plain'].map(name =>
        of.space<number>(name, { ...MINUTE, load, ...(name === 'tagged' && { tags: ['t'] }) }),
      )
    const read = async (spaces: readonly Space<number>[]) => Promise.all(spaces.map(space => space.get('k')))
    await cache.deleteByTag('other')
    expect(await read(declare(cache))).toEqual([1, 1])
    await eventually(async () => expect(await instances.redis.keys(`${instances.namespace}:*:v:*`)).toHaveLength(2))
    await cache.deleteByTag('another')
    version = 2
    // Evicted: perhaps with a deletion of 't' in it. Who has heard of all deletions knows better, and who comes now does not.
    await instances.redis.del(await instances.redis.keys(`${instances.namespace}:*:tags`))
    const late = instances.make({ memory: false })
    await late.init()
    const spaces = declare(late)
    expect(await read(spaces)).toEqual([2, 1])
    // Now it is known again what was deleted, from here on.
    await cache.deleteByTag('other')
    expect(await read(spaces)).toEqual([2, 1])
  })

  const losses: readonly (readonly [how: string, lose: (redis: Redis, tags: string) => Promise<unknown>])[] = [
    ['lost', (redis, tags) => redis.del(tags)],
    [
      'pushed out by later ones',
      (redis, tags) => {
        const fill = `for i = 1, ${MOST_TAGS} do redis.call('ZADD', KEYS[1], redis.call('ZSCORE', KEYS[1], 't'), 'z' .. i) end`
        return redis.eval(fill, 1, tags)
      },
    ],
  ]
  it.each(losses)(
    'takes what it took when its deletion was %s, and others have been deleted since',
    async (_, lose) => {
      await using instances = instancesOn(testRedis().url)
      const cache = instances.make()
      const options = { ...MINUTE, tags: ['t'] }
      expect(await cache.space<number>('s', { ...options, load: async () => 1 }).get('k')).toBe(1)
      const { redis, namespace } = instances
      await eventually(async () => expect(await redis.keys(`${namespace}:*:v:*`)).toHaveLength(1))
      await cache.deleteByTag('t')
      await lose(redis, (await redis.keys(`${namespace}:*:tags`))[0] ?? '')
      await cache.deleteByTag('another')
      const late = instances.make({ memory: false }).space<number>('s', { ...options, load: async () => 2 })
      expect(await late.get('k')).toBe(2)
    },
  )

  it('works without Redis, against loads in flight too', async () => {
    const cache = new Cache({ clock: new FakeClock() })
    const gate = new Gate<string>()
    const space = cache.space<string>('s', { ...MINUTE, load: gate.load, tags: ['t'] })
    const before = space.get('k')
    await cache.deleteByTag('t')
    gate.succeed('old')
    expect(await before).toBe('old')
    expect(space.peek('k')).toBeUndefined()
    expect(space.stats.fenced).toBe(1)
    gate.succeed('new')
    expect(await space.get('k')).toBe('new')
    await cache.deleteByTag('another')
    expect(space.peek('k')).toBe('new')
    await cache.deleteByTag('t')
    expect(space.peek('k')).toBeUndefined()
  })

  it('must be a string that is not empty, not too long and whole', async () => {
    const cache = new Cache({ clock: new FakeClock() })
    for (const bad of ['', 'x'.repeat(257), '\ud800', 7]) {
      await expect(cache.deleteByTag(bad as string)).rejects.toMatchObject({ kind: 'usage', code: 'CACHE_TAG_INVALID' })
    }
    const space = cache.space<string>('s', { ...MINUTE, load: () => 'v', tags: () => [''] })
    await expect(space.get('k')).rejects.toMatchObject({ code: 'CACHE_TAG_INVALID' })
  })
})
