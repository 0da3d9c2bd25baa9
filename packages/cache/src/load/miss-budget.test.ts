import { FakeClock } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import { Cache } from '../cache.js'
import type { Space } from '../space.js'

const MINUTE = { ttl: '1m', jitter: 0 } as const
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

/** A clock, a cache on it, and a source that counts how many ask it at once and answers after 10 ms. */
function storm(missBudget: number): {
  clock: FakeClock
  cache: Cache
  ask: <T>(answer: T) => Promise<T>
  most: () => number
} {
  const clock = new FakeClock()
  const cache = new Cache({ clock, missBudget })
  let now = 0
  let most = 0
  const ask = <T>(answer: T): Promise<T> =>
    new Promise(resolve => {
      most = Math.max(most, ++now)
      clock.schedule(10, () => {
        now--
        resolve(answer)
      })
    })
  return { clock, cache, ask, most: () => most }
}

async function inTime<T>(clock: FakeClock, work: Promise<T>, ms: number): Promise<T | 'still waiting'> {
  let settled: T | 'still waiting' = 'still waiting'
  void work.then(value => {
    settled = value
  })
  for (let passed = 0; passed < ms && settled === 'still waiting'; passed += 10) await clock.advance(10)
  return settled
}

describe('loads that wait for other loads', () => {
  for (const budget of [1, 2, 4]) {
    it(`lend them their places: ${budget} of them, many more callers`, async () => {
      const { clock, cache, ask, most } = storm(budget)
      const inner = cache.space<number, number>('inner', { ...MINUTE, load: id => ask(id) })
      const outer = cache.space<number, number>('outer', {
        ...MINUTE,
        load: async id => {
          await ask(0)
          return ((await inner.get(id)) ?? 0) * 2
        },
      })
      const read = outer.getMany(upTo(20))
      expect(await inTime(clock, read, 5_000)).toEqual(upTo(20).map(id => id * 2))
      expect(most()).toBeLessThanOrEqual(budget)
      expect(clock.pendingTimers).toBe(0)
    })
  }

  it('lend them also to loads that others have asked for before', async () => {
    const { clock, cache, ask, most } = storm(2)
    const inner = cache.space<number, number>('inner', { ...MINUTE, load: id => ask(id) })
    const outer = cache.space<number, number>('outer', { ...MINUTE, load: async id => inner.get(id) })
    const parents = [outer.get(1), outer.get(2)]
    const plain = inner.getMany([3, 1, 2])
    expect(await inTime(clock, Promise.all([...parents, plain]), 1_000)).toEqual([1, 2, [3, 1, 2]])
    expect(most()).toBeLessThanOrEqual(2)
  })

  it('do so through several levels, in their own space, and in batches', async () => {
    const { clock, cache, ask, most } = storm(2)
    const tree: Space<string, number> = cache.space<string, number>('tree', {
      ...MINUTE,
      load: async id => {
        await ask(id)
        return id === 1 ? 'root' : `${await tree.get(Math.floor(id / 2))}.${id}`
      },
    })
    expect(await inTime(clock, tree.getMany([8, 9, 10, 11, 12]), 5_000)).toEqual([
      'root.2.4.8',
      'root.2.4.9',
      'root.2.5.10',
      'root.2.5.11',
      'root.3.6.12',
    ])
    const names = cache.space<string, number>('names', {
      ...MINUTE,
      loadMany: async ids => ask(new Map(ids.map(id => [id, `n${id}`]))),
    })
    const pairs = cache.space<string, number>('pairs', {
      ...MINUTE,
      load: async id => `${(await names.getMany([id, id + 1])).join()}`,
    })
    expect(await inTime(clock, pairs.getMany(upTo(6)), 5_000)).toEqual(upTo(6).map(id => `n${id},n${id + 1}`))
    expect(most()).toBeLessThanOrEqual(2)
  })
})
