/** A copy that answers by itself, and adds that wait for it. */

import { eventually, startProxy } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { describe, expect, it } from 'vitest'
import { instancesOn } from '../instances.fixture.js'
import { guarded, ready, Table, upTo } from './guarded.fixture.js'

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
    await using proxy = await startProxy(testRedis())
    await using near = instancesOn(testRedis().url)
    await using far = instancesOn(proxy.url(testRedis().url), near.namespace)
    const table = new Table(upTo(100))
    const a = await ready(near, table)
    const b = guarded(far.make({ redisTimeout: '1s' }), table)
    await b.cache.initGuards()
    await eventually(async () => {
      await b.space.guard?.mayContain('777')
      expect(b.space.guard?.mayContain('777')).toBe(false)
    })
    proxy.halfOpen()
    // What it does not hear of, it denies at first: the add must wait for its time to end.
    expect(b.space.guard?.mayContain('777')).toBe(false)
    await a.space.guard?.add(777)
    expect(await b.space.guard?.mayContain('777')).toBe(true)
    await proxy.heal()
  })
})
