/** What a write does to values held, and to those that are being read or loaded, here and on other instances. */

import { eventually, startProxy, startRedis } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { Cache } from './cache.js'
import { HoldingRedis } from './holding-redis.fixture.js'
import { Gate, type Instances, instancesOn, instancesWith } from './instances.fixture.js'
import type { Space } from './space.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const

/** A row that is read at once, and handed over when the test lets it be: as by a database that is slow to answer. */
class SlowRow {
  version = 1
  reads = 0
  letGo!: () => void
  readonly #held = new Promise<void>(resolve => {
    this.letGo = resolve
  })

  readonly load = async (): Promise<number> => {
    const read = this.version
    this.reads++
    await this.#held
    return read
  }

  readonly loadMany = async (ids: readonly string[]): Promise<Map<string, number>> => {
    const read = await this.load()
    return new Map(ids.map(id => [id, read]))
  }
}

/** Two instances with a row of version 1, of which `here` is to read it. */
async function hereAndThere(batch: boolean) {
  const others = instancesOn(testRedis().url)
  const holding: Instances<HoldingRedis> = instancesWith(() => new HoldingRedis(testRedis().url), others.namespace)
  const row = new SlowRow()
  const declare = (cache: Cache, load = row.load): Space<number, string> =>
    cache.space<number, string>('s', {
      ...MINUTE,
      grace: '1m',
      tags: ['t'],
      ...(batch ? { loadMany: row.loadMany } : { load }),
    })
  const caches = [holding.make(), others.make()] as const
  const [here, there] = caches.map(cache => declare(cache)) as [Space<number, string>, Space<number, string>]
  await Promise.all(caches.map(cache => cache.init()))
  const client = holding.made[0] as HoldingRedis
  let letHear: (() => void)[] = []
  return {
    row,
    client,
    caches,
    here,
    there,
    /** One that has nothing in memory. */
    newcomer: () => declare(others.make({ memory: false }), async () => row.version),
    /** Resolves when `here` has heard all that Redis was told. */
    heard: () =>
      eventually(async () => {
        const told = await others.redis.xlen(`${others.namespace}:{0}:log`)
        expect(caches[0].stats().redis?.invalidations).toBe(told)
      }),
    /** From now on `here` hears nothing. */
    deafen() {
      letHear = client.duplicates.map(connection => connection.hold('xread'))
    },
    async [Symbol.asyncDispose]() {
      row.letGo()
      for (const hear of letHear) hear()
      await holding[Symbol.asyncDispose]()
      await others[Symbol.asyncDispose]()
    },
  }
}

type At = Awaited<ReturnType<typeof hereAndThere>>

/** What may be under way on an instance, from when it has the old version in hand until it is let go. */
type Read = readonly [how: string, begin: (at: At) => Promise<{ over: Promise<unknown>; letGo(): void }>]
const load: Read = ['a load', at => loadOf(at, at.here.get('k'))]
const reply: Read = ['a reply of Redis', at => replyOf(at, () => at.here.get('k'))]
const reads: readonly Read[] = [
  load,
  ['a load of many', at => loadOf(at, at.here.getMany(['l', 'k']), 2)],
  ['a batch load', at => loadOf(at, at.here.getMany(['l', 'k']))],
  [
    'a refresh behind',
    async at => {
      await at.there.set('k', 1)
      await at.there.expire('k')
      await at.heard()
      expect(await at.here.getDetailed('k')).toMatchObject({ value: 1, source: 'stale' })
      return loadOf(at, Promise.resolve())
    },
  ],
  reply,
  ['a reply of Redis with many', at => replyOf(at, () => at.here.getMany(['l', 'k']))],
]

async function loadOf({ row }: At, over: Promise<unknown>, reads = 1) {
  await eventually(() => expect(row.reads).toBe(reads))
  return { over, letGo: row.letGo }
}

async function replyOf(at: At, read: () => Promise<unknown>) {
  await at.there.set('k', 1)
  await at.there.set('l', 1)
  await at.heard()
  const letGo = at.client.hold()
  const { reads } = at.client
  const over = read()
  await eventually(() => expect(at.client.reads).toBeGreaterThan(reads))
  at.row.letGo()
  return { over, letGo }
}

const writes: readonly (readonly [
  what: string,
  write: (cache: Cache, space: Space<number, string>) => Promise<unknown>,
])[] = [
  ['a deletion', (_, space) => space.delete('k')],
  ['the deletion of a tag', cache => cache.deleteByTag('t')],
  ['a clear of the space', (_, space) => space.clear()],
  ['a clear of everything', cache => cache.clear()],
  ['a value that is written', (_, space) => space.set('k', 2)],
]

describe.each(writes)('%s', (_, write) => {
  describe.each(['here', 'there'] as const)('told %s', from => {
    it.each(reads)('beats %s under way', async (how, begin) => {
      await using at = await hereAndThere(how === 'a batch load')
      const { over, letGo } = await begin(at)
      at.row.version = 2
      await write(at.caches[from === 'here' ? 0 : 1], at[from])
      await at.heard()
      letGo()
      await over
      // Now it has stored what it read, if it may.
      await eventually(() => expect(at.caches[0].stats().loads.inFlight).toBe(0))
      expect([await at.here.get('k'), await at.there.get('k'), await at.newcomer().get('k')]).toEqual([2, 2, 2])
    })

    it.each([load, reply])('lets nobody join %s who asks after it', async (_, begin) => {
      await using at = await hereAndThere(false)
      const { over, letGo } = await begin(at)
      at.row.version = 2
      await write(at.caches[from === 'here' ? 0 : 1], at[from])
      // At once where it was told; elsewhere when it is heard.
      const next = [at[from].get('k')]
      await at.heard()
      next.push(at.here.get('k'))
      next.push(at.here.getMany(['k', 'l']).then(([k = null]) => k))
      letGo()
      expect(await Promise.all(next)).toEqual([2, 2, 2])
      await over
    })
  })
})

describe.each(writes)('%s, told there', (_, write) => {
  it('is not forestalled here where nobody has heard of it: Redis refuses what was read before, and so does memory', async () => {
    await using at = await hereAndThere(false)
    at.deafen()
    const { over, letGo } = await loadOf(at, at.here.get('k'))
    at.row.version = 2
    await write(at.caches[1], at.there)
    letGo()
    expect(await over).toBe(1)
    await eventually(() => expect(at.caches[0].stats().loads.inFlight).toBe(0))
    expect(at.here.peek('k')).toBeUndefined()
  })
})

const ends: typeof writes = [...writes, ['an end of its freshness', (_, space) => space.expire('k')]]

describe.each(ends)('%s', (_, write) => {
  it('takes what is held here at once, and what is read while Redis is told', async () => {
    await using at = await hereAndThere(false)
    await at.there.set('k', 1)
    await at.heard()
    await eventually(async () => expect((await at.here.getDetailed('k')).source).toBe('memory'))
    // It is deaf: none of what follows is the log's doing.
    at.deafen()
    const letGo = at.client.stall()
    const written = write(at.caches[0], at.here)
    expect(at.here.peek('k')).toBeUndefined()
    expect(await at.here.get('k')).toBe(1)
    letGo()
    await written
    expect(at.here.peek('k')).not.toBe(1)
  })
})

describe('an invalidation', () => {
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
    const client = new Redis(proxy.url(server.url), {
      maxRetriesPerRequest: null,
      retryStrategy: () => 20,
      disconnectTimeout: 50,
    })
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
