/** Data access as its users have it: real servers, how it starts, and what happens when one is down or hangs. */

import { bloomGuard } from '@breakwater/cache'
import { Pool } from '@breakwater/pool'
import { eventually, startProxy } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { failure, type Named, useDataAccess } from './data-access.fixture.js'
import { createDataAccess, type DataAccess } from './data-access.js'

const servers = useDataAccess()

const outcomes = (data: DataAccess): string[] =>
  data.timeline().steps.map(step => `${step.phase} ${step.name} ${step.outcome}`)

describe('data access', () => {
  it('opens connections at init and leaves none behind at dispose', async () => {
    const data = servers.make()
    expect(await data.init()).toBe(data)
    expect(await servers.backends(data.label)).toBeGreaterThan(0)
    expect(await servers.redisClients(data.label)).toBeGreaterThan(0)
    expect(data.health).toEqual({
      status: 'ready',
      components: Object.fromEntries(
        ['environment', 'postgres', 'redis', 'cache', 'guards'].map(name => [name, { state: 'started' }]),
      ),
    })
    expect((await data.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(await data.redis?.ping()).toBe('PONG')
    // Half of the pool's four.
    expect(data.cache.stats().loads.budget).toBe(2)
    await data.dispose()
    expect(data.health.status).toBe('stopped')
    // Right away: what dispose() resolved for is gone.
    expect(data.redis?.status).toBe('end')
    expect(await servers.backends(data.label)).toBe(0)
    await servers.expectNothingOpen(data)
  })

  it('starts postgres and redis, then the cache, then the guards, then what was added, and stops in reverse', async () => {
    const data = servers.make()
    data.add({
      name: 'orders',
      dependsOn: ['postgres'],
      start: () => data.pool.query('select 1'),
      stop: () => data.pool.query('select 1'),
    })
    data.add({
      name: 'http',
      start: () => {},
      ready: () => {},
      drain: () => {},
      stop: () => data.cache.getOrLoad('k', () => 1, { ttl: '1s' }),
    })
    const guard = bloomGuard({ expected: 10, scan: async function* () {} })
    data.cache.space<number>('fish', { ttl: '1m', load: () => null, guard })
    await data.init()
    await data.dispose()
    const within = (name: string): unknown =>
      data
        .timeline()
        .steps.find(step => step.name === name)
        ?.steps?.map(each => `${each.name} ${each.outcome}`)
    expect(within('postgres')).toEqual(['connections ok', 'warm-up query ok'])
    expect(within('cache')).toEqual(['invalidation log ok', 'server ok', 'scripts ok'])
    expect(within('guards')).toEqual(['fish ok'])
    expect(outcomes(data)).toEqual([
      'start postgres ok',
      'start redis ok',
      'start environment ok',
      'start cache ok',
      'start orders ok',
      'start guards ok',
      'start http ok',
      'ready http ok',
      'drain http ok',
      'stop http ok',
      'stop cache ok',
      'stop redis ok',
      'stop orders ok',
      'stop postgres ok',
    ])
  })

  it('fills the guards of all spaces before init resolves', async () => {
    await servers.database.query('create table if not exists fish (id int primary key)')
    await servers.database.query('insert into fish select generate_series(1, 100) on conflict do nothing')
    const data = servers.make()
    let loads = 0
    let scanned = false
    const fish = data.cache.space<{ id: number }, number>('fish', {
      ttl: '1m',
      load: async id => {
        loads++
        return (await data.pool.query('select id from fish where id = $1', [id])).rows[0] ?? null
      },
      guard: bloomGuard({
        expected: 100,
        scan: async function* () {
          for (const row of (await data.pool.query('select id from fish')).rows) yield row.id
          scanned = true
        },
      }),
    })
    await data.init()
    expect(scanned).toBe(true)
    expect(await fish.get(7)).toEqual({ id: 7 })
    for (let id = 1_000; id < 1_050; id++) expect(await fish.get(id)).toBeNull()
    expect(loads).toBeLessThan(1 + 50 / 5)
    await data.dispose()
  })

  it('is ended by `await using`', async () => {
    let label = ''
    {
      await using data = await servers.make().init()
      label = (data as Named).label
      expect(await servers.backends(label)).toBeGreaterThan(0)
    }
    expect(await servers.backends(label)).toBe(0)
  })

  it('lives in memory alone without redis', async () => {
    const data = createDataAccess({ postgres: { connectionString: servers.database.url } })
    onTestFinished(() => data.dispose({ deadline: 0 }))
    await data.init()
    expect(data.redis).toBeUndefined()
    expect(Object.keys(data.health.components)).toEqual(['environment', 'postgres', 'cache', 'guards'])
    expect(await data.cache.getOrLoad('k', () => 7, { ttl: '1m' })).toBe(7)
    await data.dispose()
  })

  it('closes what was used without init', async () => {
    const data = servers.make()
    await data.pool.query('select 1')
    await eventually(() => data.redis?.ping())
    await data.dispose()
    expect(await servers.backends(data.label)).toBe(0)
    await servers.expectNothingOpen(data)
  })

  it('leaves a pool and a client open that were handed in', async () => {
    const pool = new Pool({ connectionString: servers.database.url })
    const redis = new Redis(testRedis().url)
    const data = createDataAccess({ postgres: pool, redis })
    expect([data.pool, data.redis]).toEqual([pool, redis])
    await data.init()
    await data.dispose()
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(await redis.ping()).toBe('PONG')
    await pool.end()
    await redis.quit()
  })

  it('refuses options that are wrong, all at once', () => {
    const options = { postgres: 7, redis: 'redis://x', cashe: {} } as never
    expect(() => createDataAccess(options)).toThrow(/cashe is not an option.*postgres must be.*redis must be/)
    expect(() => servers.make({ components: { redis: { startTimout: 1 }, radis: {} } as never })).toThrow(
      /components.redis.startTimout.*components.radis/,
    )
    // Of what was made before the fault was found nothing is left open.
    expect(() => servers.make({ cache: { missBudget: -1 } })).toThrow('missBudget')
    expect(() => servers.make({ postgres: { max: -1 } })).toThrow('max')
  })
})

describe('the start', () => {
  it('goes on without a Redis that is down, degraded, and is well again when Redis comes', async () => {
    const proxy = await startProxy(testRedis())
    proxy.refuse()
    const data = servers.make({
      redis: { url: proxy.url(testRedis().url) },
      components: { redis: { startTimeout: 300 } },
    })
    await data.init()
    expect(data.health).toMatchObject({
      status: 'degraded',
      components: { redis: { state: 'degraded', reason: 'START_TIMEOUT' } },
    })
    expect(await data.cache.getOrLoad('k', () => 7, { ttl: '1m' })).toBe(7)
    await proxy.heal()
    await eventually(() => data.redis?.status === 'ready')
    expect(data.health.components.redis).toEqual({ state: 'started' })
    await data.dispose()
    await proxy.close()
  })

  it('fails without Redis when that is not optional', async () => {
    const proxy = await startProxy(testRedis())
    proxy.refuse()
    const settings = { redis: { startTimeout: 200, optional: false } }
    const data = servers.make({ redis: { url: proxy.url(testRedis().url) }, components: settings })
    const error = await failure(data.init())
    expect(error).toMatchObject({
      code: 'INIT_FAILED',
      cause: { code: 'START_TIMEOUT', cause: { code: 'ECONNREFUSED' } },
    })
    await servers.expectNothingOpen(data)
    await proxy.close()
  })

  it('fails without Postgres, says so, and closes Redis again', async () => {
    const proxy = await startProxy(testPostgres())
    await proxy.close()
    const data = servers.make({ postgres: { connectionString: proxy.url(servers.database.url) } })
    const error = await failure(data.init())
    expect(error).toMatchObject({ kind: 'failed', code: 'INIT_FAILED', cause: { code: 'ECONNREFUSED' } })
    expect(error.message).toMatch(/^init failed after \d+ ms; postgres \(start, \d+ ms: ECONNREFUSED\); rolled back: /)
    expect(data.redis?.status).toBe('end')
    await servers.expectNothingOpen(data)
    await data.dispose()
  })

  it("with a wrong password passes the driver's own error on, and no secret", async () => {
    const url = new URL(servers.database.url)
    url.username = 'nobody'
    url.password = 'hunter2'
    const data = servers.make({ postgres: { connectionString: url.href } })
    const error = await failure(data.init())
    expect((error.cause as { code: string }).code).toMatch(/^28/)
    expect(error.message).not.toContain('hunter2')
  })

  it('called off by its caller while Postgres does not answer leaves nothing open', async () => {
    const proxy = await startProxy(testPostgres())
    proxy.halfOpen()
    const data = servers.make({ postgres: { connectionString: proxy.url(servers.database.url) } })
    const controller = new AbortController()
    const init = failure(data.init({ signal: controller.signal }))
    await proxy.waitForConnections(1)
    controller.abort(new Error('no more'))
    expect(await init).toMatchObject({ code: 'INIT_CANCELLED', cause: { message: 'no more' } })
    await proxy.waitForConnections(0)
    await servers.expectNothingOpen(data)
    await proxy.close()
  })

  it('is called off by dispose, and both settle with nothing open', async () => {
    const proxy = await startProxy(testPostgres())
    proxy.halfOpen()
    const data = servers.make({ postgres: { connectionString: proxy.url(servers.database.url) } })
    const init = failure(data.init())
    await proxy.waitForConnections(1)
    await data.dispose({ deadline: 2_000 })
    expect((await init).code).toBe('INIT_CANCELLED')
    await proxy.waitForConnections(0)
    await servers.expectNothingOpen(data)
    await proxy.close()
  })

  it('stops what was added when a later one fails', async () => {
    const data = servers.make()
    const seen: string[] = []
    data.add({ name: 'a', start: () => void seen.push('a+'), stop: () => void seen.push('a-') })
    data.add({ name: 'b', dependsOn: ['a'], start: () => Promise.reject(new Error('boom')) })
    expect((await failure(data.init())).message).toContain('b (start')
    expect(seen).toEqual(['a+', 'a-'])
    await servers.expectNothingOpen(data)
  })
})
