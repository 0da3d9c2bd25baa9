import { deserialize, serialize } from 'node:v8'
import { eventually } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { describe, expect, it } from 'vitest'
import { instancesOn } from '../instances.fixture.js'
import { AT } from '../redis/lua.js'
import type { StandardSchema } from './schema.js'
import type { Serializer } from './serializer.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const
const v8: Serializer = { name: 'v8', serialize: value => serialize(value), deserialize: bytes => deserialize(bytes) }

/** Where the value has to come from Redis. */
const none = (): null => null

interface Point {
  x: number
}
const point: StandardSchema<Point> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: async value =>
      typeof (value as Point).x === 'number' ? { value: { x: (value as Point).x } } : { issues: ['x is missing'] },
  },
}

describe('values in Redis', () => {
  it('travel by the space’s serializer, and are a miss for any other', async () => {
    await using instances = instancesOn(testRedis().url)
    const value = { at: new Date(0), tags: new Set(['a']), text: 'ü\0\u2028', none: undefined }
    const writer = instances.make().space<typeof value>('s', { ...MINUTE, serializer: v8, load: async () => value })
    expect(await writer.get('k')).toEqual(value)
    const reader = instances.make().space<typeof value>('s', { ...MINUTE, serializer: v8, load: none })
    await eventually(async () => expect(await reader.get('k')).toEqual(value))
    const other = instances.make().space<string>('s', { ...MINUTE, load: async () => 'json' })
    expect(await other.get('k')).toBe('json')
    expect(other.stats.poisoned).toBe(1)
    // Also one that could make something of it.
    const later: Serializer = { name: 'later', serialize: () => '', deserialize: bytes => `misread ${bytes}` }
    const third = instances.make().space<string>('s', { ...MINUTE, serializer: later, load: async () => 'its own' })
    expect(await third.get('k')).toBe('its own')
  })

  it('are compressed when they are long, and only when that helps', async () => {
    await using instances = instancesOn(testRedis().url)
    const values: Record<string, string> = {
      long: 'breakwater '.repeat(10_000),
      short: 'breakwater',
      random: Array.from({ length: 3_000 }, () => String.fromCharCode(32 + Math.random() * 60_000)).join(''),
    }
    const options = { ...MINUTE, compressAbove: 1_000 }
    const load = async (id: string): Promise<string> => values[id] ?? ''
    const writer = instances.make().space<string, string>('s', { ...options, load })
    await writer.getMany(Object.keys(values))
    const lengthOf = async (id: string): Promise<number> =>
      await instances.redis.strlen((await instances.redis.keys(`${instances.namespace}:*:v:s:${id}`))[0] ?? '')
    await eventually(async () => expect(await lengthOf('long')).toBeGreaterThan(0))
    expect(await lengthOf('long')).toBeLessThan(2_000)
    // Compressed or not, what was written is what is read, by a reader that compresses nothing too.
    const reader = instances.make().space<string, string>('s', { ...MINUTE, load: none })
    expect(await reader.getMany(Object.keys(values))).toEqual(Object.values(values))
    expect(reader.stats.redisHits).toBe(3)
  })

  it('that fail the space’s schema are misses, counted and replaced; what it makes of the others is the value', async () => {
    await using instances = instancesOn(testRedis().url)
    const before = instances
      .make()
      .space<unknown>('s', { ...MINUTE, load: async id => (id === 'old' ? {} : { x: 1, y: 2 }) })
    await before.getMany(['old', 'good'])
    const space = instances.make().space<Point>('s', { ...MINUTE, schema: point, load: async () => ({ x: 7 }) })
    await eventually(async () => expect(await space.getMany(['old', 'good'])).toEqual([{ x: 7 }, { x: 1 }]))
    expect(space.stats).toMatchObject({ poisoned: 1, loads: 1 })
  })

  it('that are poisoned are misses, counted and removed', async () => {
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

  it('that cannot be serialized reject, and nothing is stored', async () => {
    await using instances = instancesOn(testRedis().url)
    const circular: { self?: unknown } = {}
    circular.self = circular
    const space = instances.make().space<unknown>('s', { ...MINUTE, load: async id => (id === 1 ? circular : () => 1) })
    for (const id of [1, 2]) {
      await expect(space.get(id)).rejects.toMatchObject({ kind: 'usage', code: 'CACHE_VALUE_INVALID' })
      await expect(space.set(id, circular)).rejects.toMatchObject({ code: 'CACHE_VALUE_INVALID' })
    }
    expect(await instances.redis.keys(`${instances.namespace}:*:v:*`)).toEqual([])
  })

  it('may be huge', async () => {
    await using instances = instancesOn(testRedis().url)
    const huge = 'x'.repeat(20_000_000)
    const cache = instances.make({ memory: { maxBytes: 1_000_000 } })
    const space = cache.space<string>('s', { ...MINUTE, load: async () => huge })
    expect((await space.get('k'))?.length).toBe(huge.length)
    // Larger than the whole first tier: kept in Redis alone.
    expect(space.peek('k')).toBeUndefined()
    expect((await space.get('k'))?.length).toBe(huge.length)
  })

  it('are never undefined, though the space’s serializer could say that', async () => {
    await using instances = instancesOn(testRedis().url)
    const space = instances.make().space<string>('s', { ...MINUTE, serializer: v8, load: (async () => {}) as never })
    const mistake = { kind: 'usage', code: 'CACHE_VALUE_INVALID' }
    await expect(space.get('k')).rejects.toMatchObject(mistake)
    await expect(space.set('k', undefined as never)).rejects.toMatchObject(mistake)
  })
})
