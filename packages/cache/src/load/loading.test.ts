import { FakeClock } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import { Cache } from '../cache.js'
import { Gate } from '../instances.fixture.js'

const memoryOnly = (): { cache: Cache; clock: FakeClock } => {
  const clock = new FakeClock()
  return { cache: new Cache({ clock }), clock }
}

describe('a loader’s context', () => {
  it('has the stale value, which notModified makes fresh again', async () => {
    const { cache, clock } = memoryOnly()
    const seen: unknown[] = []
    const row = { id: 1 }
    const space = cache.space<object>('s', {
      ttl: '1s',
      grace: '1m',
      jitter: 0,
      load: async (_, { stale, notModified }) => {
        seen.push(stale)
        return stale === undefined ? row : notModified()
      },
    })
    await space.get(1)
    await clock.advance(1_500)
    expect((await space.getDetailed(1)).source).toBe('stale')
    await clock.advance(0)
    expect(await space.getDetailed(1)).toEqual({ value: row, source: 'memory', age: 0 })
    expect(seen).toEqual([undefined, row])
  })

  it('refuses notModified where there is nothing stale', async () => {
    const { cache } = memoryOnly()
    const space = cache.space<string>('s', { ttl: '1s', load: async (_, { notModified }) => notModified() })
    await expect(space.get(1)).rejects.toMatchObject({ kind: 'usage', code: 'CACHE_NOTHING_STALE' })
  })

  it('sets the ttl of this one value, or of its absence', async () => {
    const { cache, clock } = memoryOnly()
    let calls = 0
    const space = cache.space<string>('s', {
      ttl: '1s',
      absentTtl: '1s',
      jitter: 0,
      load: async (id, { setTtl, absent }) => {
        calls++
        setTtl('10s')
        return id === 'none' ? absent() : 'v'
      },
    })
    expect(await space.getMany(['some', 'none'])).toEqual(['v', null])
    await clock.advance(9_999)
    expect([space.peek('some'), space.peek('none')]).toEqual(['v', null])
    await clock.advance(1)
    expect([space.peek('some'), space.peek('none')]).toEqual([undefined, undefined])
    expect(calls).toBe(2)
    const bad = cache.space<string>('bad', { ttl: '1s', load: (_, { setTtl }) => setTtl(0) ?? 'v' })
    await expect(bad.get(1)).rejects.toMatchObject({ kind: 'usage', code: 'CACHE_TTL_INVALID' })
  })
})

describe('a caller that aborts', () => {
  it('ends its own wait and no one else’s', async () => {
    const { cache } = memoryOnly()
    const gate = new Gate<string>()
    const space = cache.space<string>('s', { ttl: '1m', load: gate.load })
    const leaving = new AbortController()
    const left = space.get('k', { signal: leaving.signal })
    const staying = space.get('k', { signal: new AbortController().signal })
    const reason = new Error('the request was closed')
    leaving.abort(reason)
    await expect(left).rejects.toBe(reason)
    gate.succeed('v')
    expect(await staying).toBe('v')
    expect(space.peek('k')).toBe('v')
  })

  it('has the load aborted when it was the last to wait; the next caller loads anew', async () => {
    const { cache, clock } = memoryOnly()
    const signals: AbortSignal[] = []
    const space = cache.space<string>('s', {
      ttl: '1m',
      load: (_, { signal }) => {
        signals.push(signal)
        return signals.length === 1 ? new Promise<string>(() => {}) : 'v'
      },
    })
    const [a, b] = [new AbortController(), new AbortController()]
    const callers = [a, b].map(({ signal }) => space.get('k', { signal }))
    const rejected = Promise.all(callers.map(caller => expect(caller).rejects.toThrow('gone')))
    await clock.advance(0)
    a.abort(new Error('gone'))
    expect(signals[0]?.aborted).toBe(false)
    b.abort(new Error('gone'))
    await rejected
    expect(signals[0]?.aborted).toBe(true)
    // Not a failure of the key: no back-off.
    expect(await space.get('k')).toBe('v')
    await clock.advance(0)
    expect(cache.stats().loads.inFlight).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })

  it('does not abort a load that someone waits for without a signal, nor a refresh behind', async () => {
    const { cache, clock } = memoryOnly()
    const gate = new Gate<string>()
    const space = cache.space<string>('s', { ttl: '1s', grace: '1m', jitter: 0, load: gate.load })
    const leaving = new AbortController()
    const without = space.get('k')
    const left = expect(space.get('k', { signal: leaving.signal })).rejects.toThrow()
    leaving.abort()
    await left
    gate.succeed('old')
    expect(await without).toBe('old')
    await clock.advance(1_000)
    expect(await space.get('k', { signal: leaving.signal })).toBe('old')
    gate.succeed('new')
    await clock.advance(0)
    expect(space.peek('k')).toBe('new')
  })

  it('leaves no batch running for keys that nobody waits for', async () => {
    const { cache, clock } = memoryOnly()
    let signal: AbortSignal | undefined
    const space = cache.space<string, number>('s', {
      ttl: '1m',
      loadMany: (_, context) => {
        signal = context.signal
        return new Promise(() => {})
      },
    })
    const [one, two] = [new AbortController(), new AbortController()]
    const gone = [space.getMany([1, 2], one), space.get(3, two)].map(caller => expect(caller).rejects.toThrow())
    await clock.advance(0)
    one.abort()
    expect(signal?.aborted).toBe(false)
    two.abort()
    expect(signal?.aborted).toBe(true)
    await Promise.all(gone)
  })
})

describe('softTimeout', () => {
  const soft = (gate: Gate<string>): ReturnType<typeof memoryOnly> & { space: ReturnType<typeof make> } => {
    const made = memoryOnly()
    const make = () =>
      made.cache.space<string>('s', {
        ttl: '1s',
        grace: '1m',
        jitter: 0,
        softTimeout: 100,
        loadBackoff: '1s',
        load: gate.load,
      })
    return { ...made, space: make() }
  }

  it('waits so long for the refresh, then answers with the stale value; the load goes on', async () => {
    const gate = new Gate<string>()
    const { space, clock } = soft(gate)
    gate.succeed('old')
    await space.get('k')
    await clock.advance(1_000)
    const quick = space.getDetailed('k')
    gate.succeed('new')
    expect(await quick).toMatchObject({ value: 'new', source: 'loader' })
    await clock.advance(1_000)
    const slow = space.getDetailed('k')
    await clock.advance(100)
    expect(await slow).toMatchObject({ value: 'new', source: 'stale', age: 1_000 })
    gate.succeed('newest')
    await clock.advance(0)
    expect(space.peek('k')).toBe('newest')
  })

  it('answers with the stale value when the refresh fails, at once for the back-off', async () => {
    const gate = new Gate<string>()
    const { space, clock } = soft(gate)
    gate.succeed('old')
    await space.get('k')
    await clock.advance(1_000)
    const failing = space.getDetailed('k')
    gate.fail(new Error('down'))
    expect(await failing).toMatchObject({ value: 'old', source: 'stale' })
    expect(await space.getDetailed('k')).toMatchObject({ value: 'old', source: 'stale' })
    expect(gate.calls).toBe(2)
  })
})

it('jitter takes off as much of a ttl as chance says', async () => {
  const clock = new FakeClock()
  const cache = new Cache({ clock, random: () => 0.5 })
  let calls = 0
  const space = cache.space<number>('s', { ttl: '10s', jitter: 0.2, load: async () => ++calls })
  await space.get('k')
  await clock.advance(8_999)
  expect(await space.get('k')).toBe(1)
  await clock.advance(1)
  expect(await space.get('k')).toBe(2)
})

describe('refreshAhead', () => {
  it('draws how early: as many times the load as chance says', async () => {
    const clock = new FakeClock()
    const cache = new Cache({ clock, random: () => Math.exp(-3) })
    let calls = 0
    const load = (): Promise<number> => {
      calls++
      return new Promise(resolve => void clock.schedule(100, () => resolve(calls)))
    }
    const space = cache.space<number>('s', { ttl: '10s', jitter: 0, refreshAhead: true, load })
    const first = space.get('k')
    await clock.advance(100)
    await first
    await clock.advance(10_000 - 301)
    // It begins behind its caller.
    const callsOnceAsked = async (): Promise<number> => {
      await space.get('k')
      await clock.advance(0)
      return calls
    }
    expect(await callsOnceAsked()).toBe(1)
    await clock.advance(1)
    expect(await callsOnceAsked()).toBe(2)
  })

  it('refreshes a hot value before it turns stale, once, and never blocks a caller', async () => {
    const { cache, clock } = memoryOnly()
    let calls = 0
    const space = cache.space<number>('s', {
      ttl: '10s',
      jitter: 0,
      refreshAhead: true,
      load: () =>
        new Promise(resolve => {
          clock.schedule(100, () => resolve(++calls))
        }),
    })
    const first = space.get('k')
    await clock.advance(100)
    expect(await first).toBe(1)
    for (let ms = 0; ms < 30_000 && calls < 3; ms += 5) {
      let source = 'none yet'
      void space.getDetailed('k').then(outcome => {
        source = outcome.source
      })
      await clock.advance(5)
      expect(source).toBe('memory')
    }
    expect(calls).toBe(3)
  })

  it('thinks of it the later, the quicker the load is, and not at all without the option', async () => {
    const { cache, clock } = memoryOnly()
    let calls = 0
    const load = async (): Promise<number> => ++calls
    const quick = cache.space<number>('quick', { ttl: '10s', jitter: 0, refreshAhead: true, load })
    const off = cache.space<number>('off', { ttl: '10s', jitter: 0, load })
    await Promise.all([quick.get('k'), off.get('k')])
    await clock.advance(9_999)
    for (let i = 0; i < 200; i++) await Promise.all([quick.get('k'), off.get('k')])
    expect(calls).toBe(2)
  })
})

describe('cache.wrap', () => {
  it('keeps a function’s results by its arguments', async () => {
    const { cache } = memoryOnly()
    let calls = 0
    const add = cache.wrap(async (a: number, b: number) => (calls++ < 9 ? a + b : 0), { name: 'add', ttl: '1m' })
    expect([await add(1, 2), await add(1, 2), await add(2, 1)]).toEqual([3, 3, 3])
    expect(calls).toBe(2)
    await add.space.delete([1, 2])
    await add(1, 2)
    expect(calls).toBe(3)
    const byName = cache.wrap(
      async function greet(user: { name: string }) {
        return `hi ${user.name}`
      },
      {
        ttl: '1m',
        key: user => user.name,
      },
    )
    expect(await byName({ name: 'ann' })).toBe('hi ann')
    expect(byName.space.peek('ann')).toBe('hi ann')
    expect(() => cache.wrap(async () => 1, { ttl: '1m' })).toThrow(/its name/)
  })
})
