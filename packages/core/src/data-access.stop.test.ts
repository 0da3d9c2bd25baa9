/** The stop of data access: what is under way ends, what outlasts its deadline is ended, and nothing stays open. */

import { eventually, startPostgres, startRedis } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import { failure, type Named, useDataAccess } from './data-access.fixture.js'
import type { Leftovers } from './lifecycle/events.js'

const servers = useDataAccess()

/** A deadline whose last part, which goes by force, is as long as it gets: what hangs costs the others nothing. */
const FORCED_IN_FULL_MS = 2_500
/** How much later than its deadline a stop may end; without one it takes 25 s. */
const LATE_MS = 100

describe('the stop', () => {
  it('lets queries and clients in use finish', async () => {
    const data = await servers.make().init()
    const query = data.pool.query('select pg_sleep(0.3), 1 as one')
    const client = await data.pool.connect()
    const disposed = data.dispose()
    await client.query('begin')
    await client.query('select pg_sleep(0.1)')
    expect((await client.query('commit')).command).toBe('COMMIT')
    client.release()
    await disposed
    expect((await query).rows[0].one).toBe(1)
    await servers.expectNothingOpen(data as Named)
  })

  it('ends by force what outlasts its deadline, says so, and settles every promise', async () => {
    const data = await servers.make().init()
    const query = data.pool.query('select pg_sleep(30)').catch(error => error)
    const begun = performance.now()
    const error = await failure(data.dispose({ deadline: 1_000 }))
    expect(performance.now() - begun).toBeLessThan(1_000 + LATE_MS)
    expect(error).toMatchObject({
      kind: 'timeout',
      code: 'DISPOSE_INCOMPLETE',
      errors: [{ code: 'POSTGRES_NOT_DRAINED' }],
    })
    expect(await query).toBeInstanceOf(Error)
    expect(data.redis?.status).toBe('end')
  })

  it('by force leaves no backend, tells of what it ended, and settles every promise', async () => {
    const data = servers.make({ postgres: { leakWarningAfter: '1m' } as never })
    await data.init()
    const trackedQuery = data.track('report', () => data.pool.query('select pg_sleep(60) from pg_class'))
    const leaked = await data.pool.connect()
    const inTransaction = leaked.query('begin; select pg_sleep(60)')
    const rest = Array.from({ length: 6 }, () => data.pool.query('select pg_sleep(60)'))
    const settled = Promise.allSettled([trackedQuery, inTransaction, ...rest])
    await eventually(() => expect(data.pool.inUse()).toMatchObject({ pending: 4 }))
    const error = await failure(data.dispose({ force: true }))
    expect(await servers.backends(data.label)).toBe(0)
    expect((await settled).map(each => each.status)).toEqual(Array.from({ length: 8 }, () => 'rejected'))
    const { work, components } = error.left as Leftovers
    expect(work).toMatchObject([{ kind: 'tracked', name: 'report' }])
    expect(components.postgres).toMatchObject({ pending: 4 })
    const { queries, clients } = components.postgres as { queries: object[]; clients: object[] }
    expect(queries).toContainEqual({ summary: 'SELECT pg_class', ageMs: expect.any(Number), work: 'report' })
    expect(clients).toHaveLength(4)
    expect(clients).toContainEqual(
      expect.objectContaining({ acquiredAt: expect.stringContaining('data-access.stop.test.ts') }),
    )
    expect(error.message).toContain('still under way: report')
  })

  it('by force has the backend of a query gone from the server within 300 ms', async () => {
    const times: number[] = []
    // Where others have the CPU a single try says nothing.
    for (let attempt = 0; attempt < 5 && !times.some(ms => ms < 300); attempt++) {
      const data = await servers.make().init()
      const { label } = data as Named
      const query = data.pool.query('select pg_sleep(60)').catch(error => error)
      await eventually(() => expect(data.pool.inUse().queries).toHaveLength(1))
      const begun = performance.now()
      const disposed = failure(data.dispose({ force: true }))
      await eventually(async () => expect(await servers.backends(label)).toBe(0))
      times.push(performance.now() - begun)
      await disposed
      expect(await query).toBeInstanceOf(Error)
    }
    expect(Math.min(...times)).toBeLessThan(300)
  })

  it('serves stale values and refreshes none from its first moment on', async () => {
    const data = servers.make()
    let loads = 0
    const space = data.cache.space('stale', { ttl: 1, grace: '1m', load: () => ++loads })
    await data.init()
    expect(await space.get('k')).toBe(1)
    await new Promise(resolve => setTimeout(resolve, 20))
    let seen: unknown
    const work = data.track('work', async ({ draining }) => {
      await new Promise(resolve => draining.addEventListener('abort', resolve))
      seen = await space.get('k')
    })
    await Promise.all([data.dispose(), work])
    expect([seen, loads]).toEqual([1, 1])
  })

  it('keeps its deadline when Redis hangs', async () => {
    await using server = await startRedis({ own: true })
    const data = await servers.make({ redis: { url: server.url } }).init()
    server.hang()
    const get = data.redis?.get('k').catch(error => error)
    const begun = performance.now()
    const error = await failure(data.dispose({ deadline: FORCED_IN_FULL_MS }))
    expect(performance.now() - begun).toBeLessThan(FORCED_IN_FULL_MS + LATE_MS)
    expect(error.failures.map(each => each.component)).toEqual(['redis'])
    expect(await get).toBeInstanceOf(Error)
    expect(await servers.backends((data as Named).label)).toBe(0)
    server.resume()
  })

  it('keeps its deadline when Postgres hangs', async () => {
    await using server = await startPostgres({ own: true })
    const data = await servers.make({ postgres: { connectionString: server.url } }).init()
    await data.pool.query('select 1')
    server.hang()
    const stuck = data.pool.query('select 1').catch(error => error)
    const begun = performance.now()
    const error = await failure(data.dispose({ deadline: FORCED_IN_FULL_MS }))
    server.resume()
    expect(performance.now() - begun).toBeLessThan(FORCED_IN_FULL_MS + LATE_MS)
    expect(error.failures.map(each => each.component)).toEqual(['postgres'])
    expect(await stuck).toBeInstanceOf(Error)
    await servers.expectNothingOpen(data as Named)
  })

  it('is no failure when Postgres has gone before', async () => {
    await using server = await startPostgres({ own: true })
    const data = await servers.make({ postgres: { connectionString: server.url } }).init()
    await server.kill()
    await data.dispose({ deadline: 2_000 })
    expect(data.pool.totalCount).toBe(0)
  })
})
