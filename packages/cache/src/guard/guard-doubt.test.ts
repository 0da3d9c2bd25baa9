/** Bits that were lost, or are not what they should be. */

import { eventually, startRedis } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { describe, expect, it } from 'vitest'
import { instancesOn } from '../instances.fixture.js'
import { AUDITED, guarded, keysOf, ready, Table, upTo } from './guarded.fixture.js'

describe('a guard in doubt', () => {
  it('is built anew by a server that came back without the adds that it had acknowledged', async () => {
    await using server = await startRedis({ own: true, settings: { dbfilename: 'dump.rdb' } })
    await using instances = instancesOn(server.url)
    const table = new Table(upTo(100))
    const [a, b] = [await ready(instances, table), await ready(instances, table)]
    await instances.redis.call('save')
    await a.space.guard?.add(777)
    table.ids.add(777)
    await server.kill()
    await server.start()
    expect((await keysOf(instances, 'header')).length).toBe(1)
    expect(await instances.redis.hget((await keysOf(instances, 'header'))[0] ?? '', 'state')).toBe('ready')
    expect(await b.space.get(777)).toEqual({ id: 777 })
    await eventually(() => expect(table.scans).toBe(2))
    await eventually(() => expect(b.space.guard?.state).toBe('ready'))
    expect(await b.space.get(777)).toEqual({ id: 777 })
    expect(await b.space.get(5_000)).toBeNull()
  })

  it('does not take bits for whole that were lost and written to again', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const { cache, space } = await ready(instances, table)
    await instances.redis.del(await keysOf(instances, '*:0'))
    // Among so many some touch the last byte: the chunk would have its length again.
    await Promise.all(upTo(500).map(id => space.guard?.add(id + 10_000)))
    expect((await space.getMany(upTo(100))).filter(row => row === null)).toEqual([])
    await cache.initGuards()
    expect(table.scans).toBe(2)
  })

  it('answers nothing on a replica', async () => {
    await using master = await startRedis({ own: true, settings: { 'repl-diskless-sync-delay': '0' } })
    await using replica = await startRedis({ own: true, settings: { replicaof: `127.0.0.1 ${master.port}` } })
    await using instances = instancesOn(master.url)
    const table = new Table(upTo(100))
    await ready(instances, table)
    await using readers = instancesOn(replica.url, instances.namespace)
    await eventually(async () => expect(await keysOf(readers, 'header')).toHaveLength(1))
    const reader = guarded(readers.make(), table)
    await reader.space.guard?.mayContain('5000')
    await eventually(() => expect(reader.space.guard?.stats.unanswered).toBe(0))
    expect(reader.space.guard?.state).toBe('building')
    expect(await reader.space.get(5_000)).toBeNull()
    expect(table.loads).toBe(1)
  })

  it('says that nobody would know of an add when it has never reached Redis', async () => {
    await using instances = instancesOn('redis://127.0.0.1:1')
    const { space } = guarded(instances.make({ redisTimeout: 100 }), new Table([]))
    await expect(space.guard?.add(1)).rejects.toMatchObject({ code: 'GUARD_ADD_UNACKNOWLEDGED', kind: 'rejected' })
  })

  it('rejects an add that waits for Redis when it is disposed of', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const { cache, space } = guarded(instances.make({ redisTimeout: 500 }), new Table([]))
    await cache.initGuards()
    server.hang()
    const added = expect(space.guard?.add(1)).rejects.toMatchObject({ code: 'GUARD_DISPOSED' })
    await eventually(() => expect(space.guard?.stats.unacknowledged).toBe(1))
    await cache.dispose({ deadline: 100 })
    await added
    await expect(space.guard?.add(2)).rejects.toMatchObject({ code: 'GUARD_DISPOSED' })
    server.resume()
  })

  it('opens for as long as somebody says so', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const { space } = await ready(instances, table)
    const close = space.guard?.open()
    expect(space.guard?.mayContain('5000')).toBe(true)
    close?.()
    expect(await space.guard?.mayContain('5000')).toBe(false)
    expect(space.guard?.stats.openings).toBe(1)
  })
})

for (const kind of ['shared', 'local'] as const) {
  describe(`a row inserted past a guard that is ${kind}`, () => {
    it('is found by the audit, which counts it, opens the space and has the filter built anew', async () => {
      await using instances = instancesOn(testRedis().url)
      const warned: string[] = []
      const logger = { info: () => {}, warn: (fields: object) => void warned.push((fields as { event: string }).event) }
      const cache =
        kind === 'shared' ? instances.make({ logger, ...AUDITED }) : instances.makeLocal({ logger, ...AUDITED })
      const table = new Table(upTo(100))
      const { space } = guarded(cache, table)
      await cache.initGuards()
      table.ids.add(777)
      expect(await space.get(777)).toBeNull()
      await eventually(() => expect(space.guard?.stats).toMatchObject({ audits: 1, falseNegatives: 1 }))
      expect(warned).toContain('guard.false-negative')
      expect(cache.stats().guards.row?.falseNegatives).toBe(1)
      expect(space.guard?.stats.openings).toBe(1)
      await eventually(() => expect(space.guard?.state).toBe('ready'))
      expect(table.scans).toBe(2)
      expect(await space.get(777)).toEqual({ id: 777 })
      expect(await space.get(5_000)).toBeNull()
    })

    it('is not held against the guard when its add came between the answer and the look', async () => {
      await using instances = instancesOn(testRedis().url)
      const cache = kind === 'shared' ? instances.make(AUDITED) : instances.makeLocal(AUDITED)
      const table = new Table(upTo(100))
      const { space } = guarded(cache, table)
      await cache.initGuards()
      const insertThenLook = async (): Promise<unknown> => {
        await space.guard?.add(777)
        return { id: 777 }
      }
      await space.guard?.denied('777', insertThenLook)
      expect(space.guard?.stats).toMatchObject({ audits: 1, falseNegatives: 0 })
    })
  })
}
