/** A copy that answers by itself, and adds that wait for it. */

import { eventually, FakeClock, startProxy } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { describe, expect, it } from 'vitest'
import { instancesOn } from '../instances.fixture.js'
import { type Guarded, guarded, keysOf, ready, Table, upTo } from './guarded.fixture.js'

/** Two instances, the second on a connection that can be made half open. */
async function nearAndFar() {
  const proxy = await startProxy(testRedis())
  const near = instancesOn(testRedis().url)
  const far = instancesOn(proxy.url(testRedis().url), near.namespace)
  const table = new Table(upTo(100))
  const a = await ready(near, table)
  // By then nobody may be believed from before.
  await a.space.guard?.add(9_999)
  const b = guarded(far.make({ redisTimeout: '1s' }), table)
  await b.cache.initGuards()
  return {
    ...{ a, b, near, proxy },
    async [Symbol.asyncDispose]() {
      await proxy.heal()
      await Promise.all([near, far].map(each => each[Symbol.asyncDispose]()))
      await proxy.close()
    },
  }
}

/** Resolves when the copy answers by itself. */
async function believed({ space }: Guarded, id: string): Promise<void> {
  await eventually(async () => {
    await space.guard?.mayContain(id)
    expect(space.guard?.mayContain(id)).toBe(false)
  })
}

describe('a copy', () => {
  it('answers by itself once Redis has agreed, and asks again now and then', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const { space } = await ready(instances, table)
    await eventually(async () => {
      expect(await space.get(5_000)).toBeNull()
      expect(space.guard?.mayContain('5001')).toBe(false)
    })
    const { deniedHere = 0 } = space.guard?.stats ?? {}
    expect(deniedHere).toBeGreaterThan(0)
  })

  it('lets a key through that another instance has added, from the moment that the add resolves', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const [a, b] = [await ready(instances, table), await ready(instances, table)]
    for (let id = 10_000; id < 10_200; id++) {
      // Asked for all the time, so that it is believed.
      const before = b.space.guard?.mayContain(String(id))
      await a.space.guard?.add(id)
      expect(await b.space.guard?.mayContain(String(id))).toBe(true)
      await before
    }
    expect(b.space.guard?.stats.deniedHere).toBeGreaterThan(0)
  })

  it('is believed no more when an add has resolved that it could not hear of', async () => {
    await using pair = await nearAndFar()
    const { a, b, proxy } = pair
    await believed(b, '777')
    proxy.halfOpen()
    // What it does not hear of, it denies at first: the add must wait for its time to end.
    expect(b.space.guard?.mayContain('777')).toBe(false)
    await a.space.guard?.add(777)
    expect(await b.space.guard?.mayContain('777')).toBe(true)
  })

  it('is waited for by an add, also when what Redis knew of it is lost meanwhile', async () => {
    await using pair = await nearAndFar()
    const { a, b, near, proxy } = pair
    await believed(b, '777')
    proxy.halfOpen()
    const deafSince = performance.now()
    const [header = ''] = await keysOf(near, 'header')
    const added = a.space.guard?.add(777).then(() => b.space.guard?.mayContain('777'))
    await eventually(async () => expect((await near.redis.hkeys(header)).join()).toContain('w:'))
    await near.redis.del(header)
    await a.space.guard?.rebuild()
    expect(await added).not.toBe(false)
    // So long it may still be believed.
    expect(performance.now() - deafSince).toBeGreaterThan(500)
    expect(await b.space.guard?.mayContain('777')).toBe(true)
  })

  it('is waited for by an add that finds no header any more', async () => {
    await using pair = await nearAndFar()
    const { a, b, near, proxy } = pair
    await believed(b, '777')
    proxy.halfOpen()
    await near.redis.del(await keysOf(near, 'header'))
    const denies = b.space.guard?.mayContain('777')
    await a.space.guard?.add(777)
    expect(denies).toBe(false)
    expect(await b.space.guard?.mayContain('777')).toBe(true)
  })

  it('asks Redis when it may have missed adds, until it has been fetched anew', async () => {
    await using instances = instancesOn(testRedis().url)
    const made = await ready(instances, new Table(upTo(100)))
    await believed(made, '777')
    made.space.guard?.missed?.()
    expect(made.space.guard?.mayContain('777')).toBeInstanceOf(Promise)
    await believed(made, '777')
  })

  it('wakes those who wait for it when it has heard', async () => {
    await using instances = instancesOn(testRedis().url)
    const table = new Table(upTo(100))
    const b = await ready(instances, table)
    // By then nobody may be believed from before.
    await b.space.guard?.add(9_999)
    // Its time stands still: whatever it does is done at once, or because it is woken.
    const a = guarded(instances.make({ clock: new FakeClock() }), table)
    await a.cache.init()
    await a.cache.initGuards()
    for (let id = 10_000; id < 10_020; id++) {
      await believed(b, '5000')
      await a.space.guard?.add(id)
      expect(b.space.guard?.mayContain(String(id))).toBe(true)
    }
  })
})

describe('an instance that is cut off from Redis', () => {
  it('is waited for with all guards open, also by a server that came with a failover meanwhile', async () => {
    await using pair = await nearAndFar()
    const { a, b, near, proxy } = pair
    const [header = ''] = await keysOf(near, 'header')
    expect((await near.redis.hkeys(header)).filter(field => field.startsWith('m:'))).toHaveLength(2)
    proxy.halfOpen()
    await near.redis.hset(header, 'server', 'the one before')
    await eventually(() => expect(a.space.guard?.stats.builds).toBe(2))
    // It resolves when every guard is open, and then its row is there.
    await b.space.guard?.add(777)
    expect(await a.space.guard?.mayContain('777')).toBe(true)
    await proxy.heal()
    proxy.cut()
    await eventually(async () => expect(await a.space.guard?.mayContain('778')).toBe(false))
    expect(await a.space.guard?.mayContain('777')).toBe(true)
  })
})
