/** The numbers that Breakwater's cache must reach, each against what was measured of it. */

import type { Compared } from '../pool/results.js'
import { atLeast, atMost, type Target } from '../report/target.js'
import { PARTS } from './compare-hits.js'
import { STORMS } from './compare-storms.js'
import { OURS } from './contenders/index.js'
import type { CacheSummary, FrozenRedis, StaleAudit } from './results.js'
import { DELIVERY_MS } from './stale-reads.js'

interface Measured {
  readonly summary: readonly CacheSummary[]
  readonly frozen: readonly FrozenRedis[]
  readonly audits: readonly StaleAudit[]
}

/** Returns a target for each part that was measured. */
export function cacheTargets({ summary, frozen, audits }: Measured): Target[] {
  const ours = (part: string, unit: string): Compared | undefined =>
    summary.find(each => each.part === part && each.contender === OURS)?.figures[unit]
  const targets: Target[] = []
  const memory = ours(PARTS.memory, 'CPU ns')
  if (memory) targets.push(atMost('ns of CPU for a hit in memory, awaited', 300, memory.value.median, memory.value))
  if (memory?.ratio) targets.push(atMost('and times layered-loader', 1.1, memory.ratio.median, memory.ratio))
  const peek = ours(PARTS.peek, 'CPU ns')
  if (peek) targets.push(atMost('ns of CPU for a peek', 60, peek.value.median, peek.value))
  const redis = ours(PARTS.redis64, 'hits/s')?.ratio
  if (redis) {
    const what = 'hits in Redis a second, 200 B, 64 callers, times ioredis with auto-pipelining'
    targets.push(atLeast(what, 0.9, redis.median, redis))
  }
  for (const part of [STORMS.one, STORMS.four, STORMS.failing]) {
    const loads = ours(part, 'loads')?.value
    if (loads) targets.push(atMost(`loads, ${part}`, 1, loads.max))
  }
  const cold = frozen.find(({ contender }) => contender === OURS)
  if (cold) {
    const msOf = ({ ms, outcome }: FrozenRedis['cold']): number | null => (outcome === 'answered' ? ms : null)
    targets.push(atMost('ms for a cold key when Redis freezes', 200, msOf(cold.cold)))
    targets.push(atMost('and for the next one, loaded in 5 ms', 15, msOf(cold.next)))
  }
  const audit = audits.find(({ contender }) => contender === OURS)
  if (audit) {
    const reads = audit.reads.toLocaleString('en-US')
    targets.push(atMost(`reads of ${reads} that were stale for longer than maxLag`, 0, audit.beyondLag))
    // Where a process had to stand still, so had what was on its way to it.
    const starved =
      audit.stoodStillMs > DELIVERY_MS ? `, though a process stood still for ${Math.round(audit.stoodStillMs)} ms` : ''
    targets.push(atMost(`stale reads of ${reads}${starved}`, 0, audit.stale))
  }
  return targets
}
