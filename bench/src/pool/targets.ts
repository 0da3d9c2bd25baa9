/** The numbers that Breakwater's pool must reach, each against what was measured of it. */

import { atLeast, atMost, type Target } from '../report/target.js'
import type { Faults, LeaseSummary, QuerySummary } from './results.js'

interface Measured {
  readonly leases: readonly LeaseSummary[]
  readonly queries: readonly QuerySummary[]
  readonly faults: readonly Faults[]
}

/** Returns a target for each part that was measured; of ratios the median counts, of several restarts the slowest. */
export function targetsOf({ leases, queries, faults }: Measured): Target[] {
  const isOurs = ({ contender, callers = 1 }: { contender: string; callers?: number }): boolean =>
    contender === 'breakwater' && callers === 1
  const lease = leases.find(isOurs)?.cpuNs.ratio
  const query = queries.find(isOurs)?.perSecond.ratio
  const fault = faults.find(isOurs)
  const targets: Target[] = []
  if (lease) targets.push(atMost('connect and release, times pg.Pool', 0.7, lease.median, lease))
  if (query) targets.push(atLeast('queries a second by one caller, times pg.Pool', 1, query.median, query))
  if (fault) {
    const { restarts, forcedEnd } = fault
    const slowest = restarts.map(each => each.recoveredMs).reduce(later, 0)
    targets.push(atMost('ms from the return of a restarted server to the first answer', 1_000, slowest))
    targets.push(atMost('backends left 300 ms after a forced end', 0, forcedEnd.backends))
  }
  return targets
}

/** null is never. */
function later(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : Math.max(one, other)
}
