import { FakeClock } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import { Cache } from './cache.js'
import { Gate } from './instances.fixture.js'

const memoryOnly = (clock = new FakeClock()): { cache: Cache; clock: FakeClock } => ({
  cache: new Cache({ clock }),
  clock,
})

describe('a cache without Redis', () => {
  it('loads once, then answers from memory until the ttl is over', async () => {
    const { cache, clock } = memoryOnly()
    let calls = 0
    const space = cache.space<number>('s', { ttl: '10s', jitter: 0, load: async () => ++calls })
    expect([await space.get(1), await space.get(1), space.peek(1)]).toEqual([1, 1, 1])
    await clock.advance(9_999)
    expect(await space.get(1)).toBe(1)
    await clock.advance(1)
    expect(space.peek(1)).toBeUndefined()
    expect(await space.get(1)).toBe(2)
  })

  it('shares one load, and its very value, among all who ask meanwhile', async () => {
    const { cache } = memoryOnly()
    const gate = new Gate<object>()
    const space = cache.space<object>('s', { ttl: 1_000, load: gate.load })
    const callers = Array.from({ length: 100 }, () => space.get('k'))
    const value = {}
    gate.succeed(value)
    expect(new Set(await Promise.all(callers))).toEqual(new Set([value]))
    expect(gate.calls).toBe(1)
    expect(space.stats).toMatchObject({ loads: 1, coalesced: 99 })
  })

  it('shares one failing load and its very error, and answers from it for the back-off', async () => {
    const { cache, clock } = memoryOnly()
    const gate = new Gate<object>()
    const space = cache.space<object>('s', { ttl: 1_000, loadBackoff: 500, load: gate.load })
    const callers = Array.from({ length: 100 }, () => space.get('k'))
    const error = Object.assign(new Error('no table'), { code: '42P01' })
    gate.fail(error)
    const outcomes = await Promise.allSettled(callers)
    expect(outcomes.every(outcome => outcome.status === 'rejected' && outcome.reason === error)).toBe(true)
    await expect(space.get('k')).rejects.toBe(error)
    expect(gate.calls).toBe(1)
    await clock.advance(500)
    const again = space.get('k')
    gate.succeed({})
    await expect(again).resolves.toEqual({})
  })

  it('rejects the callers of a load that dispose cuts short, and settles every one', async () => {
    const { cache, clock } = memoryOnly()
    const gate = new Gate<object>()
    const space = cache.space<object>('s', { ttl: 1_000, load: gate.load })
    const caller = expect(space.get('k')).rejects.toMatchObject({ code: 'CACHE_DISPOSED' })
    const disposed = cache.dispose({ deadline: 100 })
    await clock.advance(100)
    await disposed
    await caller
    await expect(space.get('k')).rejects.toMatchObject({ code: 'CACHE_DISPOSED', kind: 'rejected' })
    expect(clock.pendingTimers).toBe(0)
  })

  it('lets a load finish that a drain finds under way', async () => {
    const { cache } = memoryOnly()
    const gate = new Gate<number>()
    const space = cache.space<number>('s', { ttl: 1_000, load: gate.load })
    const caller = space.get('k')
    const drained = cache.drain()
    gate.succeed(7)
    await drained
    expect(await caller).toBe(7)
  })

  it('keeps null as a fact of its own, for its own ttl', async () => {
    const { cache, clock } = memoryOnly()
    let calls = 0
    const space = cache.space<number>('s', {
      ttl: '1m',
      absentTtl: '1s',
      jitter: 0,
      load: async () => {
        calls++
        return null
      },
    })
    expect([await space.get(1), await space.get(1), space.peek(1)]).toEqual([null, null, null])
    expect(await space.getDetailed(1)).toMatchObject({ value: null, source: 'absent' })
    expect(calls).toBe(1)
    await clock.advance(1_000)
    await space.get(1)
    expect(calls).toBe(2)
  })

  it('takes undefined from a loader for the mistake that it is', async () => {
    const { cache } = memoryOnly()
    const space = cache.space<number>('s', { ttl: 1_000, load: (() => undefined) as never })
    await expect(space.get(1)).rejects.toMatchObject({ kind: 'usage', code: 'CACHE_VALUE_INVALID' })
  })

  it('serves a value past its ttl at once and refreshes it behind, within its grace', async () => {
    const { cache, clock } = memoryOnly()
    const gate = new Gate<string>()
    const space = cache.space<string>('s', { ttl: '1s', grace: '10s', jitter: 0, load: gate.load })
    const first = space.get('k')
    gate.succeed('old')
    await first
    await clock.advance(1_500)
    expect(await space.getDetailed('k')).toMatchObject({ value: 'old', source: 'stale' })
    expect(await space.get('k')).toBe('old')
    expect(gate.calls).toBe(2)
    gate.succeed('new')
    await clock.advance(0)
    expect(await space.getDetailed('k')).toMatchObject({ value: 'new', source: 'memory' })
  })

  it('keeps serving the old value when the refresh fails, and tries again after the back-off', async () => {
    const { cache, clock } = memoryOnly()
    const gate = new Gate<string>()
    const space = cache.space<string>('s', { ttl: '1s', grace: '10s', jitter: 0, loadBackoff: 500, load: gate.load })
    const first = space.get('k')
    gate.succeed('old')
    await first
    await clock.advance(1_000)
    expect(await space.get('k')).toBe('old')
    gate.fail(new Error('down'))
    await clock.advance(0)
    expect(await space.get('k')).toBe('old')
    expect(gate.calls).toBe(2)
    await clock.advance(500)
    expect(await space.get('k')).toBe('old')
    await clock.advance(0)
    expect(gate.calls).toBe(3)
    gate.succeed('new')
    await clock.advance(0)
    expect(await space.get('k')).toBe('new')
  })

  it('starts no refresh while it drains', async () => {
    const { cache, clock } = memoryOnly()
    const gate = new Gate<string>()
    const space = cache.space<string>('s', { ttl: '1s', grace: '10s', jitter: 0, load: gate.load })
    const first = space.get('k')
    gate.succeed('old')
    await first
    await clock.advance(1_000)
    await cache.drain()
    expect(await space.get('k')).toBe('old')
    expect(gate.calls).toBe(1)
  })

  it('does not keep what was loaded before a delete', async () => {
    const { cache } = memoryOnly()
    const gate = new Gate<string>()
    const space = cache.space<string>('s', { ttl: '1m', load: gate.load })
    const before = space.get('k')
    await space.delete('k')
    const after = space.get('k')
    gate.succeed('old')
    gate.succeed('new')
    expect(await before).toBe('old')
    expect(await after).toBe('new')
    expect(await space.get('k')).toBe('new')
    expect(space.stats.fenced).toBe(1)
  })

  it('does not take what was loaded, or failed, before a delete for the load after it', async () => {
    const { cache } = memoryOnly()
    const gate = new Gate<string>()
    const space = cache.space<string>('s', { ttl: '1m', load: gate.load })
    const before = [space.get('a'), space.get('b')]
    await space.deleteMany(['a', 'b'])
    const after = space.get('a')
    gate.succeed('old')
    gate.fail(new Error('no table'))
    expect(await before[0]).toBe('old')
    await expect(before[1]).rejects.toThrow('no table')
    // The load that began after it is still under way, and is joined.
    const joined = space.get('a')
    gate.succeed('new')
    gate.succeed('new too')
    expect(await Promise.all([after, joined, space.get('b')])).toEqual(['new', 'new', 'new too'])
    expect(gate.calls).toBe(4)
  })

  it('tells a caller who has waited for the hard time-out, and lets the load go on and fill', async () => {
    const { cache, clock } = memoryOnly()
    const gate = new Gate<string>()
    const space = cache.space<string>('s', { ttl: '1m', hardTimeout: 100, load: gate.load })
    const early = expect(space.get('k')).rejects.toMatchObject({
      kind: 'timeout',
      code: 'CACHE_LOAD_TIMEOUT',
      elapsedMs: 100,
    })
    await clock.advance(100)
    await early
    const late = space.get('k')
    gate.succeed('v')
    expect(await late).toBe('v')
    expect(gate.calls).toBe(1)
  })

  it('gives up a load that never settles, and frees its place in the miss budget', async () => {
    const clock = new FakeClock()
    const cache = new Cache({ clock, missBudget: 1 })
    const signals: AbortSignal[] = []
    const space = cache.space<string>('s', {
      ttl: '1m',
      hardTimeout: 100,
      load: (id, { signal }) => {
        signals.push(signal)
        return id === 'stuck' ? new Promise<string>(() => {}) : 'v'
      },
    })
    const stuck = expect(space.get('stuck')).rejects.toMatchObject({ code: 'CACHE_LOAD_TIMEOUT' })
    await clock.advance(300)
    await stuck
    expect(signals[0]?.aborted).toBe(true)
    expect(await space.get('other')).toBe('v')
    await clock.advance(0)
    expect(cache.stats().loads).toMatchObject({ inFlight: 0, pending: 0 })
  })

  it('runs no more loads at once than the miss budget, and says so to who waits in vain', async () => {
    const clock = new FakeClock()
    const cache = new Cache({ clock, missBudget: 2 })
    const gate = new Gate<string>()
    const space = cache.space<string>('s', { ttl: '1m', hardTimeout: 100, load: gate.load })
    const callers = [1, 2, 3].map(id => space.get(id))
    await clock.advance(0)
    expect(gate.calls).toBe(2)
    expect(cache.stats().loads).toEqual({ inFlight: 3, pending: 1, budget: 2 })
    gate.succeed('a')
    await clock.advance(0)
    expect(gate.calls).toBe(3)
    gate.succeed('b')
    gate.succeed('c')
    expect(await Promise.all(callers)).toEqual(['a', 'b', 'c'])
  })

  it('bounds no loads with an infinite miss budget', async () => {
    const cache = new Cache({ clock: new FakeClock(), missBudget: Number.POSITIVE_INFINITY })
    const gate = new Gate<number>()
    const space = cache.space<number, number>('s', { ttl: '1m', load: gate.load })
    const callers = Array.from({ length: 100 }, (_, id) => space.get(id))
    expect(gate.calls).toBe(100)
    for (let id = 0; id < 100; id++) gate.succeed(id)
    expect(await Promise.all(callers)).toEqual(Array.from({ length: 100 }, (_, id) => id))
  })

  it('loads with the call’s own loader and policy in getOrLoad', async () => {
    const { cache, clock } = memoryOnly()
    let calls = 0
    const read = (): Promise<number | null> => cache.getOrLoad('k', async () => ++calls, { ttl: '1s', jitter: 0 })
    expect([await read(), await read()]).toEqual([1, 1])
    await clock.advance(1_000)
    expect(await read()).toBe(2)
  })

  it('answers getMany in the order of its ids', async () => {
    const { cache } = memoryOnly()
    const space = cache.space<number, number>('s', { ttl: '1m', load: async id => (id === 2 ? null : id * 10) })
    expect(await space.getMany([3, 1, 2, 3])).toEqual([30, 10, null, 30])
  })
})

describe('clear', () => {
  it('empties one space, or all of them, and what is being loaded for them', async () => {
    const { cache } = memoryOnly()
    const gate = new Gate<string>()
    const slow = cache.space<string>('slow', { ttl: '1m', load: gate.load })
    let version = 1
    const quick = cache.space<number>('quick', { ttl: '1m', load: async () => version })
    expect(await quick.get('k')).toBe(1)
    const before = slow.get('k')
    await slow.clear()
    version = 2
    expect(await quick.get('k')).toBe(1)
    gate.succeed('old')
    expect(await before).toBe('old')
    expect(slow.peek('k')).toBeUndefined()
    await cache.clear()
    expect(await quick.get('k')).toBe(2)
  })
})

describe('expire', () => {
  it('leaves the value servable and has it refreshed behind', async () => {
    const { cache, clock } = memoryOnly()
    let version = 1
    const space = cache.space<number>('s', { ttl: '1m', grace: '1m', jitter: 0, load: async () => version })
    expect(await space.get('k')).toBe(1)
    version = 2
    await space.expire('k')
    expect(await space.getDetailed('k')).toMatchObject({ value: 1, source: 'stale' })
    await clock.advance(0)
    expect(await space.getDetailed('k')).toMatchObject({ value: 2, source: 'memory' })
  })

  it('does not let a load that had begun before make the old value fresh again', async () => {
    const { cache, clock } = memoryOnly()
    const gate = new Gate<string>()
    const space = cache.space<string>('s', { ttl: '1m', grace: '1m', jitter: 0, load: gate.load })
    const before = space.get('k')
    await space.expire('k')
    gate.succeed('old')
    expect(await before).toBe('old')
    await clock.advance(0)
    expect(space.peek('k')).toBeUndefined()
    gate.succeed('new')
    expect(await space.get('k')).toBe('new')
  })
})

describe('warm', () => {
  it('reads all ids, in batches, and says how many exist', async () => {
    const { cache } = memoryOnly()
    const sizes: number[] = []
    const space = cache.space<number, number>('s', {
      ttl: '1m',
      batchSize: 10,
      loadMany: async ids => {
        sizes.push(ids.length)
        return new Map(ids.filter(id => id % 5 > 0).map(id => [id, id]))
      },
    })
    async function* ids(): AsyncGenerator<number> {
      for (let id = 1; id <= 25; id++) yield id
    }
    expect(await space.warm(ids())).toBe(20)
    expect(sizes).toEqual([10, 10, 5])
    expect([space.peek(1), space.peek(25)]).toEqual([1, null])
  })
})

describe('bad input', () => {
  it('is answered with one error that names every fault', () => {
    expect(
      () => new Cache({ missBudget: 0, namespace: 'a b', redisTimeout: '5', maxLag: -1, ttl: 1 } as never),
    ).toThrow(/ttl is not an option.*namespace.*missBudget.*redisTimeout.*maxLag/s)
    const { cache } = memoryOnly()
    expect(() => cache.space('a:b', { jitter: 2, grace: 'x', lod: 1 } as never)).toThrow(
      /name.*lod.*ttl is missing.*jitter.*grace|name.*lod.*jitter.*/s,
    )
  })

  it('covers a name that is taken, a key that is none and a space without a loader', async () => {
    const { cache } = memoryOnly()
    const space = cache.space('s', { ttl: 1 })
    expect(() => cache.space('s', { ttl: 1 })).toThrow(/declared already/)
    await expect(space.get(Number.NaN)).rejects.toMatchObject({ code: 'CACHE_KEY_INVALID' })
    await expect(space.get(1)).rejects.toMatchObject({ code: 'CACHE_NO_LOADER', kind: 'usage' })
    await expect(space.set(1, 1n as never)).rejects.toMatchObject({ code: 'CACHE_VALUE_INVALID' })
  })
})
