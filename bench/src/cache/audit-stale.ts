/** Audits what four processes read, forty readers and two writers in all, against what was true when they asked. */

import { startRedis } from '@breakwater/testkit'
import type { CacheRun } from './cache-run.js'
import type { RedisAddress } from './contenders/contender.js'
import { fullestTiers } from './contenders/index.js'
import { CacheLanes } from './lanes.js'
import type { StaleAudit } from './results.js'
import { findStale } from './stale-reads.js'

const SIZE = { quick: { durationMs: 5_000 }, full: { durationMs: 20_000 } }
const PROCESSES = 4
const READERS = 10
const WRITERS = 2
const KEYS = 40
const TTL_MS = 3_000
/** What a load takes after it has read: as long as a value may change unseen. */
const LOAD_MS = 3

/** Adds to `found` as it goes on. */
export async function auditStale(run: CacheRun, redis: RedisAddress, found: StaleAudit[]): Promise<void> {
  // The truth is on a server of its own: what happens to the cache's does not reach it.
  await using truth = await startRedis({ own: true })
  const { durationMs } = SIZE[run.full ? 'full' : 'quick']
  const { host, port, url } = truth
  const source = { loadMs: LOAD_MS, truth: { host, port, url } }
  for (const contender of fullestTiers()) {
    const [name] = contender
    run.onStep(`cache: stale reads, ${name}`)
    const options = { processes: PROCESSES, source, ttlMs: TTL_MS }
    await using lanes = await CacheLanes.open([contender], redis, options, run.signal)
    const instances = lanes.all[0]?.instances ?? []
    const order = { seed: run.seed, keys: KEYS, readers: READERS, durationMs }
    const outcomes = await Promise.all(
      instances.map((instance, i) => instance.call('audit', { ...order, instance: i, writers: i < WRITERS ? 1 : 0 })),
    )
    found.push({
      contender: name,
      reads: outcomes.reduce((sum, { reads }) => sum + reads.length, 0),
      ...findStale(outcomes),
      writes: outcomes.reduce((sum, { writes }) => sum + writes.length, 0),
      errors: outcomes.reduce((sum, { errors }) => sum + errors, 0),
      stoodStillMs: Math.max(...outcomes.map(({ stoodStillMs }) => stoodStillMs)),
    })
  }
}
