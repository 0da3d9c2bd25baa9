/** What the database sees when many ask at once, and when Redis is emptied, restarted or hung under them. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildProgram, eventually, startRedis } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { describe, expect, it } from 'vitest'
import { instancesOn } from './instances.fixture.js'

describe('a cold key', () => {
  it('is loaded once for a thousand callers in each of four processes', async () => {
    await using instances = instancesOn(testRedis().url)
    const caller = await buildProgram(new URL('load/caller.fixture.ts', import.meta.url))
    const children = [1, 2, 3, 4].map(() =>
      fork(caller.path, [testRedis().url, instances.namespace, '1000'], {
        execArgv: caller.execArgv,
      }),
    )
    await Promise.all(children.map(child => once(child, 'message')))
    const answers = Promise.all(children.map(child => once(child, 'message').then(([answered]) => answered)))
    const exits = Promise.all(children.map(child => once(child, 'exit')))
    for (const child of children) child.send('go')
    expect(await answers).toEqual([1000, 1000, 1000, 1000])
    await exits
    expect(await instances.redis.get(`${instances.namespace}:loads`)).toBe('1')
  }, 60_000)
})

describe('under load', () => {
  it('the source is never asked by more than the miss budget at once, whatever becomes of Redis', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const cache = instances.make({ missBudget: 4, redisTimeout: 100, memory: false })
    let now = 0
    let most = 0
    let loads = 0
    const space = cache.space<number, number>('s', {
      ttl: '1m',
      load: async id => {
        loads++
        most = Math.max(most, ++now)
        await sleep(5)
        now--
        return id
      },
    })
    await cache.init()
    let wrong = 0
    let asking = true
    const traffic = (async () => {
      const pending = new Set<Promise<void>>()
      while (asking) {
        for (let i = 0; i < 5; i++) {
          const id = Math.floor(Math.random() * 200)
          const one = space.get(id).then(
            value => {
              if (value !== id) wrong++
            },
            () => {
              wrong++
            },
          )
          pending.add(one)
          void one.then(() => pending.delete(one))
        }
        await sleep(10)
      }
      await Promise.all(pending)
    })()
    await eventually(() => expect(loads).toBeGreaterThan(50))
    await eventually(() => expect(space.stats.redisHits).toBeGreaterThan(50))
    const before = loads
    await instances.redis.flushall()
    await eventually(() => expect(loads).toBeGreaterThan(before + 50))
    await server.kill()
    await sleep(300)
    await server.start()
    await eventually(() => expect(cache.stats().redis).toMatchObject({ following: true, breaker: 'closed' }), 15_000)
    server.hang()
    await sleep(300)
    server.resume()
    await eventually(() => expect(cache.stats().redis).toMatchObject({ following: true, breaker: 'closed' }), 15_000)
    asking = false
    await traffic
    expect(most).toBeLessThanOrEqual(4)
    expect(wrong).toBe(0)
  }, 60_000)

  it('warm keys are answered from memory while Redis hangs', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const cache = instances.make({ maxLag: '1m' })
    const space = cache.space<string>('s', { ttl: '1m', load: async () => 'v' })
    await cache.init()
    await space.get('warm')
    server.hang()
    const { loads, redisHits } = space.stats
    for (let i = 0; i < 1_000; i++) expect(await space.get('warm')).toBe('v')
    expect(space.stats).toMatchObject({ loads, redisHits, redisBypassed: 0 })
    server.resume()
  })

  it('a key asked for again and again while Redis hangs is loaded once in a maxLag', async () => {
    await using server = await startRedis({ own: true })
    await using instances = instancesOn(server.url)
    const cache = instances.make({ maxLag: '20s', redisTimeout: 50 })
    const space = cache.space<string>('s', { ttl: '1m', load: async () => 'v' })
    await cache.init()
    server.hang()
    for (let i = 0; i < 100; i++) expect(await space.get('cold')).toBe('v')
    expect(space.stats.loads).toBe(1)
    // Its own invalidations still count.
    await space.delete('cold')
    await space.get('cold')
    expect(space.stats.loads).toBe(2)
    server.resume()
  })
})
