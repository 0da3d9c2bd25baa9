import { eventually, startRedis } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { describe, expect, it } from 'vitest'
import { Cache } from '../cache.js'
import { instancesOn } from '../instances.fixture.js'
import { bloomGuard } from './bloom-guard.js'
import { guarded, keysOf, ready, Table, UNAUDITED, upTo } from './guarded.fixture.js'

describe('a guard', () => {
  it('keeps reads of what does not exist from the loader, and none of what does', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(500))
    const { space } = await ready(instances, table)
    expect(await space.getMany(upTo(500))).toEqual(upTo(500).map(id => ({ id })))
    expect(table.loads).toBe(500)
    const absent = upTo(500).map(id => id + 1_000_000)
    expect(new Set(await space.getMany(absent))).toEqual(new Set([null]))
    // One in ten thousand may pass.
    expect(table.loads - 500).toBeLessThan(5)
    expect(space.guard?.state).toBe('ready')
  })

  it('is built by one instance and fetched by the others', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const all = await Promise.all([1, 2, 3].map(() => ready(instances, table)))
    expect(table.scans).toBe(1)
    for (const { space } of all) expect(await space.get(4_000)).toBeNull()
    expect(table.loads).toBe(0)
  })

  it('lets a row through on every instance once its add is acknowledged', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const [a, b] = [await ready(instances, table), await ready(instances, table)]
    expect(await a.space.get(777)).toBeNull()
    await b.space.guard?.add(777)
    table.ids.add(777)
    expect(await a.space.get(777)).toEqual({ id: 777 })
    expect(await b.space.get(777)).toEqual({ id: 777 })
  })

  it('forgets with an add that the row was known to be absent', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const open = guarded(instances.make(), table)
    expect(await open.space.get(777)).toBeNull()
    const { space } = await ready(instances, table)
    await space.guard?.add(777)
    table.ids.add(777)
    expect(await space.get(777)).toEqual({ id: 777 })
    await eventually(async () => expect(await open.space.get(777)).toEqual({ id: 777 }))
  })

  it('keeps what another instance adds while one scans', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    let scanning!: () => void
    const reached = new Promise<void>(resolve => {
      scanning = resolve
    })
    let goOn!: () => void
    const held = new Promise<void>(resolve => {
      goOn = resolve
    })
    const builder = guarded(instances.make(UNAUDITED), table, {
      async *scan() {
        yield* upTo(100)
        scanning()
        await held
      },
    })
    const built = builder.cache.initGuards()
    await reached
    const other = guarded(instances.make(UNAUDITED), table)
    await other.space.guard?.add(777)
    table.ids.add(777)
    // Not complete yet: everything may exist.
    expect(await builder.space.get(5_000)).toBeNull()
    expect(table.loads).toBe(1)
    goOn()
    await built
    await other.cache.initGuards()
    for (const { space } of [builder, other]) {
      expect(await space.get(777)).toEqual({ id: 777 })
      expect(await space.get(6_000)).toBeNull()
    }
    expect(table.loads).toBe(2)
  })

  it('takes over the shape of the bits it finds, when another release has sized them otherwise', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const before = await ready(instances, table, { expected: 1_000 })
    const after = await ready(instances, table, { expected: 50_000 })
    expect(table.scans).toBe(1)
    await after.space.guard?.add(777)
    await before.space.guard?.add(778)
    for (const id of [777, 778]) table.ids.add(id)
    for (const { space } of [before, after])
      expect(await space.getMany([777, 778, 1])).toEqual([{ id: 777 }, { id: 778 }, { id: 1 }])
  })

  it('keeps few of the keys in memory that it lets through and that do not exist, however many are asked for', async () => {
    await using cache = new Cache(UNAUDITED)
    const table = new Table(upTo(1_000))
    const { space } = guarded(cache, table, { expected: 1_000, errorRate: 0.5 })
    await cache.initGuards()
    await space.getMany(upTo(1_000))
    const absent = upTo(5_000).map(id => id + 10_000)
    for (let from = 0; from < absent.length; from += 50) await space.getMany(absent.slice(from, from + 50))
    const passed = table.loads - 1_000
    expect(passed).toBeGreaterThan(1_500)
    expect(cache.stats().memory.entries).toBe(2_000)
    // The rows themselves have lost no place to them.
    await space.getMany(upTo(1_000))
    expect(table.loads - 1_000).toBe(passed)
  })

  it('works in one process without Redis', async () => {
    const cache = new Cache(UNAUDITED)
    const table = new Table(upTo(100))
    const { space } = guarded(cache, table)
    await cache.initGuards()
    expect(await space.get(5_000)).toBeNull()
    expect(table.loads).toBe(0)
    await space.guard?.add(5_000)
    table.ids.add(5_000)
    expect(await space.get(5_000)).toEqual({ id: 5_000 })
    await cache.dispose()
  })
})

describe('a guard in doubt', () => {
  for (const part of ['header', '*:0']) {
    it(`lets every read through when its ${part.split(':')[0]} is gone, and builds anew`, async () => {
      await using instances = instancesOn(testRedis().url)
      const table = new Table(upTo(100))
      const { space } = await ready(instances, table)
      table.ids.add(777)
      await instances.redis.del(await keysOf(instances, part))
      // The copy says no, and there is nothing to confirm it.
      expect(await space.get(777)).toEqual({ id: 777 })
      await eventually(() => expect(space.guard?.state).toBe('ready'))
      expect(table.scans).toBe(2)
      table.loads = 0
      expect(await space.get(8_000)).toBeNull()
      expect(table.loads).toBe(0)
    })
  }

  it('lets every read through when its bits are shorter than they should be', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const { space } = await ready(instances, table)
    table.ids.add(777)
    const [bits = ''] = await keysOf(instances, '*:0')
    await instances.redis.set(bits, 'x')
    expect(await space.get(777)).toEqual({ id: 777 })
  })

  it('lets every read through while Redis hangs, and an add once every other guard does so too', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const table = new Table(upTo(100))
    const [a, b] = [await ready(instances, table), await ready(instances, table)]
    expect(await b.space.get(778)).toBeNull()
    server.hang()
    table.ids.add(777)
    expect(await a.space.get(777)).toEqual({ id: 777 })
    await a.space.guard?.add(778)
    table.ids.add(778)
    expect(a.space.guard?.stats.unacknowledged).toBe(1)
    // Redis goes on, with bits that were complete before: it is the instance overdue that opens the other's guard.
    server.resume()
    expect(await b.space.get(778)).toEqual({ id: 778 })
    await eventually(() => expect(a.space.guard?.stats).toMatchObject({ unacknowledged: 0, state: 'ready' }))
    await eventually(() => expect(b.space.guard?.state).toBe('ready'))
    expect(await b.space.get(778)).toEqual({ id: 778 })
    expect(table.scans).toBe(1)
  })

  it('lets every read through when the scan fails, tells init why, and tries again behind', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    let fail = true
    const made = guarded(instances.make(), table, {
      scan: () => {
        if (fail) throw new Error('relation does not exist')
        return table.scan()
      },
    })
    await expect(made.cache.initGuards()).rejects.toThrow('relation does not exist')
    expect(await made.space.get(1)).toEqual({ id: 1 })
    fail = false
    await eventually(() => expect(made.space.guard?.state).toBe('ready'))
  })

  it('leaves the building to another instance when it is disposed of in the middle', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    let scanning!: () => void
    const reached = new Promise<void>(resolve => {
      scanning = resolve
    })
    const leaving = guarded(instances.make(), table, {
      async *scan({ signal }) {
        yield 1
        scanning()
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      },
    })
    const controller = new AbortController()
    const failed = expect(leaving.cache.initGuards({ signal: controller.signal })).rejects.toThrow('shutting down')
    await reached
    const next = ready(instances, table)
    controller.abort(new Error('shutting down'))
    await failed
    expect((await next).space.guard?.state).toBe('ready')
    expect(table.scans).toBe(1)
  })
})

/** Of a server with BF.*, such as Redis 8; none of those that the test kit can start has them. */
const withBloomModule = process.env.BREAKWATER_TEST_REDIS_BF_URL

describe('on a server that has BF.* (skipped unless BREAKWATER_TEST_REDIS_BF_URL names one)', () => {
  it.skipIf(withBloomModule === undefined)('a guard keeps its plain strings, and works as on any other', async () => {
    await using instances = instancesOn(withBloomModule ?? '')
    expect(await instances.redis.call('COMMAND', ['INFO', 'BF.RESERVE'])).not.toEqual([null])
    const table = new Table(upTo(500))
    const [a, b] = [await ready(instances, table), await ready(instances, table)]
    const [bits = ''] = await keysOf(instances, '*:0')
    expect(await instances.redis.type(bits)).toBe('string')
    await a.space.guard?.add(777)
    for (const id of [...upTo(500), 777]) expect(await b.space.guard?.mayContain(String(id))).toBe(true)
    expect(await b.space.guard?.mayContain('5000')).toBe(false)
  })
})

describe('bloomGuard', () => {
  it('names every fault of its options in one error', () => {
    expect(() => bloomGuard({ scan: 1, expected: 0, errorRate: 1, size: 3 } as never)).toThrow(
      /size is not an option.*scan must be.*expected must be.*errorRate must be/s,
    )
  })
})
