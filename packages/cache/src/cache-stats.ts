/** What a cache has counted, of all its spaces and shards together. */

import type { GuardStats } from './guard/guard.js'
import type { BreakerState } from './redis/breaker.js'
import type { InvalidationLog } from './redis/invalidation-log.js'
import type { Shards } from './redis/shards.js'
import type { SpaceReading } from './space-stats.js'

export interface CacheStats {
  /** By space. */
  readonly spaces: Readonly<Record<string, SpaceReading>>
  /** By space, of those that have one. */
  readonly guards: Readonly<Record<string, GuardStats>>
  readonly memory: { readonly bytes: number; readonly entries: number; readonly evictions: number }
  readonly loads: { readonly inFlight: number; readonly pending: number; readonly budget: number }
  readonly redis:
    | {
        /** Operations that failed, hung or were not tried. */
        readonly failures: number
        /** Whether the invalidation log is heard, on a Cluster that of every shard, so that the first tier may be believed. */
        readonly following: boolean
        /** Open: Redis did not answer, on a Cluster one of its shards, and is not asked for a while. */
        readonly breaker: BreakerState
        /** Changes of that so far, of all shards, by the state that was come to. */
        readonly breakerTransitions: Readonly<Record<BreakerState, number>>
        /** Entries of the log taken, this instance's own included. */
        readonly invalidations: number
        /** Times that the first tier was emptied, since an invalidation may have been missed. */
        readonly gaps: number
        /** Connections to the log that were opened, the first included. */
        readonly connections: number
        /** How long the last invalidation took from Redis to here, and the longest, in ms; to within a round trip. */
        readonly lagMs: number
        readonly longestLagMs: number
        /** Invalidations that Redis has yet to be told. */
        readonly outbox: number
      }
    | undefined
}

/** Returns none without Redis. */
export function redisReading(shards: Shards | undefined, logs: readonly InvalidationLog[]): CacheStats['redis'] {
  const clients = shards?.all.map(shard => shard.redis)
  if (clients === undefined) return undefined
  const breakers = clients.map(client => client.breaker)
  return {
    failures: sum(clients.map(client => client.failures)),
    following: logs.every(log => log.isFollowing),
    breaker: (['open', 'half-open'] as const).find(state => breakers.includes(state)) ?? 'closed',
    breakerTransitions: {
      closed: sum(clients.map(client => client.breakerTransitions.closed)),
      open: sum(clients.map(client => client.breakerTransitions.open)),
      'half-open': sum(clients.map(client => client.breakerTransitions['half-open'])),
    },
    invalidations: sum(logs.map(log => log.entries)),
    gaps: sum(logs.map(log => log.gaps)),
    connections: sum(logs.map(log => log.connections)),
    lagMs: Math.max(...logs.map(log => log.lagMs)),
    longestLagMs: Math.max(...logs.map(log => log.longestLagMs)),
    outbox: sum(clients.map(client => client.outbox.size)),
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
