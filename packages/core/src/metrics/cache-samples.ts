/** What a cache tells in figures: by space, never by key. */

import type { CacheStats } from '@breakwater/cache'
import type { Samples } from './sample.js'

const BREAKER_STATES = ['closed', 'open', 'half-open']
const GUARD_STATES = ['building', 'ready', 'suspect']

export function addCache(samples: Samples, stats: CacheStats): void {
  for (const [name, space] of Object.entries(stats.spaces)) {
    const labels = { 'breakwater.cache.space': name }
    const results = {
      memory: space.memoryHits,
      redis: space.redisHits,
      stale: space.staleHits,
      filtered: space.guarded,
      coalesced: space.coalesced,
      loader: space.loads,
    }
    for (const [result, count] of Object.entries(results)) {
      samples.add('breakwater.cache.requests', count, { ...labels, 'breakwater.cache.result': result })
    }
    samples.add('breakwater.cache.load.duration', space.loadTime, labels)
    samples.add('breakwater.cache.load.failures', space.loadFailures, labels)
    samples.add('breakwater.cache.load.waits', space.waits, labels)
    samples.add('breakwater.cache.load.fenced', space.fenced, labels)
    samples.add('breakwater.cache.redis.bypassed', space.redisBypassed, labels)
    samples.add('breakwater.cache.poisoned', space.poisoned, labels)
  }
  for (const [name, guard] of Object.entries(stats.guards)) {
    const labels = { 'breakwater.cache.space': name }
    samples.addState('breakwater.guard.state', 'breakwater.guard.state', GUARD_STATES, guard.state, labels)
    samples.add('breakwater.guard.entries', guard.entries, labels)
    samples.add('breakwater.guard.error_rate', Number.isFinite(guard.errorRate) ? guard.errorRate : undefined, labels)
    samples.add('breakwater.guard.unanswered', guard.unanswered, labels)
    samples.add('breakwater.guard.openings', guard.openings, labels)
    samples.add('breakwater.guard.audits', guard.audits, labels)
    samples.add('breakwater.guard.false_negatives', guard.falseNegatives, labels)
  }
  const { memory, loads, redis } = stats
  samples.add('breakwater.cache.load.active', loads.inFlight)
  samples.add('breakwater.cache.load.pending', loads.pending)
  samples.add('breakwater.cache.load.budget', loads.budget)
  samples.add('breakwater.cache.entry.count', memory.entries)
  samples.add('breakwater.cache.size', memory.bytes)
  samples.add('breakwater.cache.evictions', memory.evictions)
  if (redis === undefined) return
  samples.add('breakwater.cache.redis.failures', redis.failures)
  samples.add('breakwater.cache.invalidations', redis.invalidations)
  samples.add('breakwater.cache.invalidation.gaps', redis.gaps)
  samples.add('breakwater.cache.following', redis.following ? 1 : 0)
  const breaker = { 'breakwater.breaker.name': 'redis' }
  for (const [state, count] of Object.entries(redis.breakerTransitions)) {
    samples.add('breakwater.breaker.transitions', count, { ...breaker, 'breakwater.breaker.state': state })
  }
  samples.addState('breakwater.breaker.state', 'breakwater.breaker.state', BREAKER_STATES, redis.breaker, breaker)
}
