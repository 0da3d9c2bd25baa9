/** Each figure of a pool and of a cache under its own name: none is told in the place of another. */

import { Cache, type CacheStats } from '@breakwater/cache'
import { Pool, type PoolStats } from '@breakwater/pool'
import { expect, it } from 'vitest'
import { addCache } from './cache-samples.js'
import { addPool } from './pool-samples.js'
import { Samples } from './sample.js'

/** What is told as a plain number: by name, and by the label that tells apart. */
function figures(samples: Samples, label: string): Record<string, number> {
  const numbers = samples.all.filter(({ value }) => typeof value === 'number')
  return Object.fromEntries(
    numbers.map(({ name, labels, value }) => [labels[label] === undefined ? name : `${name} ${labels[label]}`, value]),
  ) as Record<string, number>
}

it('of a pool', async () => {
  await using pool = new Pool({ name: 'orders' })
  const stats: PoolStats = {
    ...pool.stats(),
    ...{ idle: 1, leased: 2, creating: 3, min: 4, max: 5, pending: 6, acquireTimedOut: 7, createFailed: 8, lost: 9 },
    ...{ acquireRejected: 10, acquireShed: 11, retried: 12, leaked: 13, leftInTransaction: 14 },
  }
  const samples = new Samples()
  addPool(samples, 'orders', stats)
  expect(figures(samples, 'db.client.connection.state')).toMatchObject({
    'db.client.connection.count idle': 1,
    'db.client.connection.count used': 2,
    'breakwater.pool.connection.creating': 3,
    'db.client.connection.idle.min': 4,
    'db.client.connection.max': 5,
    'db.client.connection.idle.max': 5,
    'db.client.connection.pending_requests': 6,
    'db.client.connection.timeouts': 7,
    'breakwater.pool.connection.create_failures': 8,
    'breakwater.pool.connection.lost': 9,
    'breakwater.pool.query.retries': 12,
    'breakwater.pool.lease.leaked': 13,
    'breakwater.pool.lease.left_in_transaction': 14,
  })
  expect(figures(samples, 'breakwater.pool.reason')).toMatchObject({
    'breakwater.pool.rejections refused': 10,
    'breakwater.pool.rejections shed': 11,
  })
})

it('of a cache', async () => {
  await using cache = new Cache()
  const space = cache.space<number>('user', { ttl: '1m', load: () => 1 })
  const stats: CacheStats = {
    ...cache.stats(),
    spaces: {
      user: {
        ...space.stats,
        ...{ memoryHits: 1, redisHits: 2, staleHits: 3, guarded: 4, coalesced: 5, loads: 6, loadFailures: 7, waits: 8 },
        ...{ fenced: 9, redisBypassed: 10, poisoned: 11 },
      },
    } as unknown as CacheStats['spaces'],
    guards: {
      user: {
        state: 'suspect',
        entries: 12,
        errorRate: 0.5,
        unanswered: 13,
        openings: 14,
        audits: 15,
        falseNegatives: 16,
      },
    } as unknown as CacheStats['guards'],
    memory: { bytes: 17, entries: 18, evictions: 19 },
    loads: { inFlight: 20, pending: 21, budget: 22 },
    redis: {
      ...{ failures: 23, following: false, breaker: 'half-open', invalidations: 24, gaps: 25 },
      breakerTransitions: { closed: 26, open: 27, 'half-open': 28 },
    } as unknown as CacheStats['redis'],
  }
  const samples = new Samples()
  addCache(samples, stats)
  const by = (label: string): Record<string, number> => figures(samples, label)
  const requests = Object.entries(by('breakwater.cache.result')).filter(([name]) =>
    name.startsWith('breakwater.cache.requests'),
  )
  expect(requests.map(([name, value]) => `${name.split(' ')[1]} ${value}`)).toEqual([
    ...['memory 1', 'redis 2', 'stale 3', 'filtered 4', 'coalesced 5', 'loader 6'],
  ])
  expect(by('breakwater.guard.state')).toMatchObject({
    'breakwater.guard.state suspect': 1,
    'breakwater.guard.state ready': 0,
    'breakwater.guard.entries': 12,
    'breakwater.guard.error_rate': 0.5,
    'breakwater.guard.unanswered': 13,
    'breakwater.guard.openings': 14,
    'breakwater.guard.audits': 15,
    'breakwater.guard.false_negatives': 16,
    'breakwater.cache.load.failures': 7,
    'breakwater.cache.load.waits': 8,
    'breakwater.cache.load.fenced': 9,
    'breakwater.cache.redis.bypassed': 10,
    'breakwater.cache.poisoned': 11,
    'breakwater.cache.size': 17,
    'breakwater.cache.entry.count': 18,
    'breakwater.cache.evictions': 19,
    'breakwater.cache.load.active': 20,
    'breakwater.cache.load.pending': 21,
    'breakwater.cache.load.budget': 22,
    'breakwater.cache.redis.failures': 23,
    'breakwater.cache.following': 0,
    'breakwater.cache.invalidations': 24,
    'breakwater.cache.invalidation.gaps': 25,
  })
  expect(by('breakwater.breaker.state')).toMatchObject({
    'breakwater.breaker.state half-open': 1,
    'breakwater.breaker.state open': 0,
    'breakwater.breaker.transitions closed': 26,
    'breakwater.breaker.transitions open': 27,
    'breakwater.breaker.transitions half-open': 28,
  })
})
