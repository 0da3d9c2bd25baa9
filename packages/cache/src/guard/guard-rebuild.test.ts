/** A filter that is built anew while it is in use. */

import { eventually, FakeClock } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { describe, expect, it } from 'vitest'
import { instancesOn } from '../instances.fixture.js'
import { guarded, keysOf, ready, Table, upTo } from './guarded.fixture.js'

/** A scan that stops after its rows until it is let go. */
function heldScan(table: Table): { scan(): AsyncGenerator<number>; reached: Promise<void>; goOn(): void } {
  let reach!: () => void
  let goOn!: () => void
  const reached = new Promise<void>(resolve => {
    reach = resolve
  })
  const held = new Promise<void>(resolve => {
    goOn = resolve
  })
  return {
    reached,
    goOn: () => goOn(),
    async *scan() {
      yield* table.scan()
      if (table.scans < 2) return
      reach()
      await held
    },
  }
}

describe('a rebuild', () => {
  it('leaves the old bits in use, and takes every add into both', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const { scan, reached, goOn } = heldScan(table)
    const a = await ready(instances, table, { scan })
    const b = await ready(instances, table)
    table.ids.delete(50)
    const rebuilt = a.space.guard?.rebuild()
    await reached
    expect(await b.space.get(5_000)).toBeNull()
    expect(table.loads).toBe(0)
    await b.space.guard?.add(777)
    table.ids.add(777)
    expect(await a.space.get(777)).toEqual({ id: 777 })
    goOn()
    await rebuilt
    table.loads = 0
    expect(await b.space.guard?.mayContain('777')).toBe(true)
    // Deleted rows leave their bits behind until then.
    await eventually(async () => expect(await b.space.guard?.mayContain('50')).toBe(false))
    await eventually(async () => expect(await keysOf(instances, '*:0')).toHaveLength(1))
    expect(a.space.guard?.stats.openings).toBe(0)
    expect(b.space.guard?.stats.openings).toBe(0)
  })

  it('waits, once adds go to it, for the transactions that are open, and only then scans', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    let end!: () => void
    const transaction = new Promise<void>(resolve => {
      end = resolve
    })
    let asked!: () => void
    const waiting = new Promise<void>(resolve => {
      asked = resolve
    })
    let waits = 0
    const settled = async (): Promise<void> => {
      if (++waits < 2) return
      asked()
      await transaction
    }
    const { space } = guarded(instances.make({ settled }), table)
    await space.guard?.init(new AbortController().signal)
    // Its add went to the old bits alone; its row commits when the new ones are being made.
    await space.guard?.add(777)
    const rebuilt = space.guard?.rebuild()
    await waiting
    table.ids.add(777)
    end()
    await rebuilt
    expect(table.scans).toBe(2)
    expect(await space.guard?.mayContain('777')).toBe(true)
  })

  it('comes when the filter is older than it may be, by one instance', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const all = [
      await ready(instances, table, { rebuildEvery: '1s' }),
      await ready(instances, table, { rebuildEvery: '1s' }),
    ]
    await eventually(() => expect(table.scans).toBeGreaterThan(1), 10_000)
    expect(all.map(({ space }) => space.guard?.stats.openings)).toEqual([0, 0])
  })

  it('comes, and larger, when there are so many keys that the error rate has doubled', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const { space } = await ready(instances, table, { expected: 100, errorRate: 0.01 })
    for (const id of upTo(300)) table.ids.add(id)
    await Promise.all(upTo(300).map(id => space.guard?.add(id)))
    await eventually(() => expect(table.scans).toBe(2), 10_000)
    await eventually(() => expect(space.guard?.stats.errorRate).toBeLessThan(0.01))
    expect(space.guard?.stats.entries).toBe(300)
  })

  it('lets every read through while it takes the place of bits that may lack what a lost instance owes', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const { scan, reached, goOn } = heldScan(table)
    const { space } = await ready(instances, table, { scan })
    const [header = ''] = await keysOf(instances, 'header')
    // One that was last heard of so long ago that it is given up.
    await instances.redis.hset(header, 'm:lost', Date.now() - 11_000)
    await reached
    expect(await instances.redis.hexists(header, 'm:lost')).toBe(0)
    await eventually(() => expect(space.guard?.state).toBe('suspect'))
    expect(await instances.redis.hget(header, 'state')).toBe('suspect')
    goOn()
    await eventually(() => expect(space.guard?.state).toBe('ready'))
    expect(await space.guard?.mayContain('5000')).toBe(false)
  })

  it('keeps the right to build for as long as it takes', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const { scan, reached, goOn } = heldScan(table)
    await ready(instances, table, { scan })
    const clock = new FakeClock()
    const builder = guarded(instances.make({ clock }), table, { scan })
    await builder.cache.initGuards()
    const rebuilt = builder.space.guard?.rebuild()
    await reached
    const [build = ''] = await keysOf(instances, 'build')
    await instances.redis.pexpire(build, 5_000)
    await clock.advance(4_000)
    await eventually(async () => expect(await instances.redis.pttl(build)).toBeGreaterThan(5_000))
    goOn()
    await rebuilt
  })

  it('is given up when its scan takes too long, and leaves the old bits in use', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const { scan } = heldScan(table)
    const { space } = await ready(instances, table, { scan, buildTimeout: 300 })
    await expect(space.guard?.rebuild()).rejects.toMatchObject({ code: 'GUARD_BUILD_TIMEOUT' })
    expect(space.guard?.state).toBe('ready')
    expect(await space.guard?.mayContain('5000')).toBe(false)
    expect(await keysOf(instances, 'build')).toEqual([])
  })

  it('is done chunk by chunk for a filter of several', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(20_000))
    const [a, b] = await Promise.all(
      [1, 2].map(() => ready(instances, table, { expected: 1_000_000, errorRate: 0.01 })),
    )
    expect(await keysOf(instances, '*:4')).toHaveLength(1)
    await a?.space.guard?.add('new')
    for (const id of [...upTo(20_000).map(String), 'new']) {
      expect(b?.space.guard?.mayContain(id)).toBe(true)
    }
    expect(await b?.space.guard?.mayContain('another')).toBe(false)
  })
})

describe('a high-water mark', () => {
  it('lets through what lies above it, as anybody may have inserted it', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const highWater = (): number => 90
    const [a, b] = [await ready(instances, table, { highWater }), await ready(instances, table, { highWater })]
    for (const { space } of [a, b]) {
      expect(space.guard?.mayContain('101')).toBe(true)
      expect(await space.guard?.mayContain('0')).toBe(false)
    }
  })
})
