/** What a pool tells in figures. */

import type { Pool, PoolStats } from '@breakwater/pool'
import type { Samples } from './sample.js'

/** @param name under which it is told: its own, unless another pool has that one. */
export function addPool(samples: Samples, name: string, stats: PoolStats): void {
  const pool = { 'db.client.connection.pool.name': name }
  const { idle, leased, creating, min, max } = stats
  samples.add('db.client.connection.count', idle, { ...pool, 'db.client.connection.state': 'idle' })
  samples.add('db.client.connection.count', leased, { ...pool, 'db.client.connection.state': 'used' })
  // Whatever is open may be idle.
  samples.add('db.client.connection.idle.max', max, pool)
  samples.add('db.client.connection.idle.min', min, pool)
  samples.add('db.client.connection.max', max, pool)
  samples.add('db.client.connection.pending_requests', stats.pending, pool)
  samples.add('db.client.connection.timeouts', stats.acquireTimedOut, pool)
  samples.add('db.client.connection.create_time', stats.create, pool)
  samples.add('db.client.connection.wait_time', stats.wait, pool)
  samples.add('db.client.connection.use_time', stats.use, pool)

  const server = { ...pool, ...serverLabels(stats) }
  if (stats.query.count > 0) samples.add('db.client.operation.duration', stats.query, server)
  for (const [type, durations] of Object.entries(stats.queryFailed)) {
    samples.add('db.client.operation.duration', durations, { ...server, 'error.type': type })
  }

  samples.add('breakwater.pool.connection.creating', creating, pool)
  samples.add('breakwater.pool.connection.create_failures', stats.createFailed, pool)
  samples.add('breakwater.pool.connection.lost', stats.lost, pool)
  for (const [reason, count] of Object.entries(stats.retired)) {
    samples.add('breakwater.pool.connection.retired', count, { ...pool, 'breakwater.pool.reason': reason })
  }
  samples.add('breakwater.pool.rejections', stats.acquireRejected, { ...pool, 'breakwater.pool.reason': 'refused' })
  samples.add('breakwater.pool.rejections', stats.acquireShed, { ...pool, 'breakwater.pool.reason': 'shed' })
  samples.add('breakwater.pool.query.retries', stats.retried, pool)
  samples.add('breakwater.pool.lease.leaked', stats.leaked, pool)
  samples.add('breakwater.pool.lease.left_in_transaction', stats.leftInTransaction, pool)
}

/** The attributes that OpenTelemetry wants of every operation; the port only where it is not the usual one. */
export function serverLabels({ server }: Pick<PoolStats, 'server'>): Record<string, string | undefined> {
  const { address, port, database } = server
  return {
    'db.system.name': 'postgresql',
    'db.namespace': database,
    'server.address': address,
    'server.port': port === undefined || port === 5432 ? undefined : String(port),
  }
}

/** Returns each pool once, by a name of its own: two that are called the same become `name` and `name-2`. */
export function named(pools: readonly Pool[]): Map<string, Pool> {
  const byName = new Map<string, Pool>()
  for (const pool of new Set(pools)) {
    let name = pool.name
    for (let n = 2; byName.has(name); n++) name = `${pool.name}-${n}`
    byName.set(name, pool)
  }
  return byName
}
