/** What is read from Redis without a script, and that nothing is so read that does not count any more. */

import { eventually, startProxy } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import type { Cache } from '../cache.js'
import { type Instances, instancesOn, instancesWith } from '../instances.fixture.js'
import { adopt } from '../redis/scripts.js'
import type { Space } from '../space.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const

/** Notes which commands read values, and counts apart the looks at the server, one of which is due once a second. */
class NotingRedis extends Redis {
  notes: string[] = []
  looks = 0

  override sendCommand(...args: Parameters<Redis['sendCommand']>): unknown {
    const { name, args: words } = args[0] as { name: string; args: unknown[] }
    if (words[0] === adopt.sha) this.looks++
    else this.notes.push(name)
    return super.sendCommand(...args)
  }
}

/** A reader without memory beside a writer; both have loaded version 1 of 'k'. */
async function readerAndWriter(url = testRedis().url, grace = 0) {
  const instances = instancesOn(testRedis().url)
  const readers: Instances<NotingRedis> = instancesWith(
    () => new NotingRedis(url, { maxRetriesPerRequest: null, retryStrategy: () => 20, disconnectTimeout: 50 }),
    instances.namespace,
  )
  let version = 1
  const load = async (): Promise<number> => version
  const declare = (cache: Cache): Space<number, string> =>
    cache.space<number, string>('s', { ...MINUTE, grace, load, tags: id => [`tag of ${id}`] })
  const writingCache = instances.make()
  const writing = declare(writingCache)
  await writingCache.init()
  await writing.getMany(['k', 'l', 'm'])
  const find = (what: string): Promise<string[]> => instances.redis.keys(`${instances.namespace}:*:${what}`)
  await eventually(async () => expect(await find('v:s:*')).toHaveLength(3))
  const readingCache = readers.make({ memory: false })
  const reading = declare(readingCache)
  await readingCache.init()
  const client = readers.made[0] as NotingRedis
  client.notes = []
  return {
    instances,
    find,
    writingCache,
    writing,
    readingCache,
    reading,
    client,
    change: () => version++,
    /** Returns what it was read by, too. */
    async read(key = 'k'): Promise<[value: number | null, commands: string[]]> {
      client.notes = []
      const value = await reading.get(key)
      return [value, client.notes]
    },
    async [Symbol.asyncDispose]() {
      await readers[Symbol.asyncDispose]()
      await instances[Symbol.asyncDispose]()
    },
  }
}

describe('a fresh value in Redis', () => {
  it('is read by one plain command for all that is asked for in a turn', async () => {
    await using at = await readerAndWriter()
    expect(await at.reading.getMany(['k', 'l', 'm', 'k'])).toEqual([1, 1, 1, 1])
    expect(at.client.notes).toEqual(['mget'])
    expect(at.reading.stats).toMatchObject({ redisHits: 4, loads: 0 })
    const { source, age } = await at.reading.getDetailed('k')
    expect(source).toBe('redis')
    expect(age).toBeGreaterThanOrEqual(0)
  })

  it('is so read with tags too, whatever others were deleted, by whoever has heard of that', async () => {
    await using at = await readerAndWriter()
    await at.writingCache.deleteByTag('tag of l')
    await eventually(async () => expect(await at.read()).toEqual([1, ['mget']]))
    at.change()
    expect((await at.read('l'))[0]).toBe(2)
  })

  it('is not, once it has ended, and then a script decides who refreshes it', async () => {
    await using at = await readerAndWriter(testRedis().url, 60_000)
    await at.writing.expire('k')
    at.change()
    at.client.notes = []
    expect(await at.reading.getDetailed('k')).toMatchObject({ value: 1, source: 'stale' })
    expect(at.client.notes.slice(0, 2)).toEqual(['mget', 'evalsha'])
    await eventually(async () => expect(await at.read()).toEqual([2, ['mget']]))
  })
})

describe('a plain read', () => {
  type At = Awaited<ReturnType<typeof readerAndWriter>>
  const ways: readonly (readonly [how: string, (at: At) => Promise<unknown>])[] = [
    ['its deletion', at => at.writing.delete('k')],
    ['its end', at => at.writing.expire('k')],
    ['a clear of its space', at => at.writing.clear()],
    ['a clear of everything', at => at.writingCache.clear()],
    ['the deletion of its tag', at => at.writingCache.deleteByTag('tag of k')],
    [
      'the loss of what values are held against',
      async at => {
        const [state = ''] = await at.find('state')
        await at.instances.redis.del(state)
        // The first script that comes by begins anew.
        await at.writing.delete('m')
        await at.writing.get('m')
      },
    ],
    [
      'another server in the place of its own',
      async at => {
        const [state = ''] = await at.find('state')
        await at.instances.redis.hset(state, 'r', 'another')
        await at.instances.make().init()
      },
    ],
  ]
  it.each(ways)('gives nothing from before %s, at once', async (_, take) => {
    await using at = await readerAndWriter()
    expect(await at.read()).toEqual([1, ['mget']])
    at.change()
    await take(at)
    expect((await at.read())[0]).toBe(2)
  })

  it('gives nothing where what values are held against was evicted or garbled, until a script has made that good', async () => {
    await using at = await readerAndWriter()
    const [marks = ''] = await at.find('marks')
    const harms = [
      () => at.instances.redis.del(marks),
      () => at.instances.redis.set(marks, 'garbage'),
      () => at.instances.redis.set(marks, 'null'),
      () => at.instances.redis.multi().del(marks).lpush(marks, 'garbage').exec(),
    ]
    for (const harm of harms) {
      await harm()
      expect(await at.read()).toEqual([1, ['mget', 'evalsha']])
      await eventually(async () => expect(await at.read()).toEqual([1, ['mget']]))
    }
  })

  it('gives nothing that came by another connection than it was asked by', async () => {
    await using proxy = await startProxy(testRedis())
    await using at = await readerAndWriter(proxy.url(testRedis().url))
    proxy.halfOpen()
    at.client.notes = []
    const read = at.reading.get('k')
    await eventually(() => expect(at.client.notes).toEqual(['mget']))
    await proxy.heal()
    proxy.cut()
    // ioredis asks again by itself, on a connection whose server nobody has looked at.
    const { looks } = at.client
    expect(await read).toBe(1)
    expect(at.client.notes.at(-1)).toBe('evalsha')
    expect(at.client.looks).toBeGreaterThan(looks)
  })
})
