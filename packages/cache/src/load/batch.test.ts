import { eventually, FakeClock } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { Cache } from '../cache.js'
import { HoldingRedis } from '../holding-redis.fixture.js'
import { instancesOn, instancesWith } from '../instances.fixture.js'
import { adopt } from '../redis/scripts.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

/** A table of even numbers, with what was asked of it. */
class Evens {
  readonly asked: (readonly number[])[] = []

  readonly loadMany = async (ids: readonly number[]): Promise<Map<number, string>> => {
    this.asked.push(ids)
    return new Map(ids.filter(id => id % 2 === 0).map(id => [id, `v${id}`]))
  }
}

describe('getMany', () => {
  it('reads what is not in memory in one round trip, loads what is nowhere in one call, and keeps the order', async () => {
    await using instances = instancesOn(testRedis().url)
    const evens = new Evens()
    const first = instances.make().space<string, number>('s', { ...MINUTE, loadMany: evens.loadMany })
    expect(await first.getMany([4, 1, 2, 4])).toEqual(['v4', null, 'v2', 'v4'])
    expect(evens.asked).toEqual([[4, 1, 2]])

    const client = new Redis(testRedis().url)
    const sent: unknown[] = []
    const call = client.call.bind(client) as (...args: unknown[]) => Promise<unknown>
    const cache = new Cache({ redis: client, namespace: instances.namespace, redisTimeout: '3s' })
    await cache.init()
    client.call = ((...args: unknown[]) => {
      // The server is looked at once a second.
      if ((args[1] as unknown[])[0] !== adopt.sha) sent.push(args[0])
      return call(...args)
    }) as typeof client.call
    const second = cache.space<string, number>('s', { ...MINUTE, loadMany: evens.loadMany })
    expect(await second.getMany([1, 2, 4])).toEqual([null, 'v2', 'v4'])
    expect(sent).toEqual(['mget'])
    expect(evens.asked).toHaveLength(1)
    // What is nowhere is looked for once, and then asked for with its lease.
    expect(await second.getMany([6, 8])).toEqual(['v6', 'v8'])
    expect(sent.slice(0, 3)).toEqual(['mget', 'mget', 'evalsha'])
    await cache.dispose()
    client.disconnect()
  })

  it('answers with what is stale in memory at once, while Redis has not answered', async () => {
    await using instances = instancesWith(() => new HoldingRedis(testRedis().url))
    const cache = instances.make()
    const evens = new Evens()
    const options = { ...MINUTE, ttl: 20, grace: '1m', loadMany: evens.loadMany } as const
    const space = cache.space<string, number>('s', options)
    await cache.init()
    expect(await space.getMany([2])).toEqual(['v2'])
    await eventually(() => expect([cache.stats().memory.entries, space.peek(2)]).toEqual([1, undefined]))
    const letGo = instances.made[0]?.hold()
    const many = space.getMany([2, 4])
    await eventually(() => expect(space.stats.staleHits).toBe(1))
    letGo?.()
    expect(await many).toEqual(['v2', 'v4'])
  })

  it('joins loads of the same keys that are under way, and loads only the others', async () => {
    const cache = new Cache({ clock: new FakeClock() })
    const evens = new Evens()
    const space = cache.space<string, number>('s', { ...MINUTE, loadMany: evens.loadMany })
    const [one, many] = [space.get(2), space.getMany([2, 4])]
    expect(await one).toBe('v2')
    expect(await many).toEqual(['v2', 'v4'])
    expect(evens.asked).toEqual([[2, 4]])
    await space.getMany([2, 4, 6])
    expect(evens.asked).toEqual([[2, 4], [6]])
  })

  it('splits what is too much for one call, and takes one place of the miss budget for each', async () => {
    const cache = new Cache({ clock: new FakeClock(), missBudget: 1 })
    const evens = new Evens()
    const space = cache.space<string, number>('s', { ...MINUTE, batchSize: 40, loadMany: evens.loadMany })
    const values = await space.getMany(upTo(100))
    expect(values).toEqual(upTo(100).map(id => (id % 2 === 0 ? `v${id}` : null)))
    expect(evens.asked.map(ids => ids.length)).toEqual([40, 40, 20])
    expect(space.stats.loads).toBe(3)
  })

  it('gives every caller the one error of a batch that fails, and loads again after the back-off', async () => {
    const clock = new FakeClock()
    const cache = new Cache({ clock })
    const error = new Error('down')
    let fail = true
    const evens = new Evens()
    const space = cache.space<string, number>('s', {
      ...MINUTE,
      loadBackoff: 100,
      loadMany: async ids => {
        if (fail) throw error
        return evens.loadMany(ids)
      },
    })
    const outcomes = await Promise.allSettled([space.get(2), space.getMany([4, 6])])
    expect(outcomes.map(outcome => outcome.status === 'rejected' && outcome.reason)).toEqual([error, error])
    fail = false
    await clock.advance(100)
    expect(await space.getMany([2, 4])).toEqual(['v2', 'v4'])
  })

  it('does not keep a value of a batch whose key was deleted meanwhile, and keeps the others', async () => {
    await using instances = instancesOn(testRedis().url)
    let version = 1
    let entered!: () => void
    const loading = new Promise<void>(resolve => {
      entered = resolve
    })
    let goOn!: () => void
    const held = new Promise<void>(resolve => {
      goOn = resolve
    })
    const space = instances.make().space<number, number>('s', {
      ...MINUTE,
      loadMany: async ids => {
        const read = new Map(ids.map(id => [id, version]))
        entered()
        await held
        return read
      },
    })
    const before = space.getMany([1, 2])
    await loading
    version = 2
    await space.delete(1)
    goOn()
    expect(await before).toEqual([1, 1])
    expect(await space.getMany([1, 2])).toEqual([2, 1])
  })

  it('rejects, and ends, when the cache is disposed of in the middle', async () => {
    const clock = new FakeClock()
    const cache = new Cache({ clock })
    let signal: AbortSignal | undefined
    const space = cache.space<string, number>('s', {
      ...MINUTE,
      loadMany: (_, context) => {
        signal = context.signal
        return new Promise(() => {})
      },
    })
    const caller = expect(space.getMany([1, 2])).rejects.toMatchObject({ code: 'CACHE_DISPOSED' })
    await clock.advance(0)
    const disposed = cache.dispose({ deadline: 10 })
    await clock.advance(10)
    await disposed
    await caller
    expect(signal?.aborted).toBe(true)
    expect(clock.pendingTimers).toBe(0)
  })

  it('takes undefined in the Map for the mistake that it is, of its key alone', async () => {
    const cache = new Cache({ clock: new FakeClock() })
    const loadMany = async (): Promise<Map<string, string>> =>
      new Map([
        ['a', undefined as never],
        ['b', 'v'],
      ])
    const space = cache.space<string, string>('s', { ...MINUTE, loadMany })
    const [a, b, c] = await Promise.allSettled(['a', 'b', 'c'].map(id => space.get(id)))
    expect(a).toMatchObject({ reason: { kind: 'usage', code: 'CACHE_VALUE_INVALID' } })
    expect([b, c]).toMatchObject([{ value: 'v' }, { value: null }])
  })

  it('takes anything but a Map for the mistake that it is', async () => {
    const cache = new Cache({ clock: new FakeClock() })
    const space = cache.space<string, number>('s', { ...MINUTE, loadMany: (async () => ['v']) as never })
    await expect(space.get(1)).rejects.toMatchObject({ kind: 'usage', code: 'CACHE_VALUE_INVALID' })
  })
})
