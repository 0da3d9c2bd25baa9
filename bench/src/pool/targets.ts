/** The numbers that Breakwater's pool must reach, each against what was measured of it. */

import { atLeast, atMost, type Target } from '../report/target.js'
import type { Faults, LeaseSummary, QuerySummary, Setting } from './results.js'
import { nameOf } from './summary.js'

interface Measured {
  readonly leases: readonly LeaseSummary[]
  readonly queries: readonly QuerySummary[]
  readonly faults: readonly Faults[]
}

interface Comparable {
  readonly contender: string
  readonly callers?: number
  readonly setting?: Setting
}

/** Returns a target for each part that was measured; of ratios the median counts, of several restarts the slowest. */
export function targetsOf({ leases, queries, faults }: Measured): Target[] {
  const isOurs = ({ contender, callers = 1, setting = {} }: Comparable): boolean =>
    contender === 'breakwater' && callers === 1 && nameOf(setting) === ''
  const lease = leases.find(isOurs)?.cpuNs.ratio
  const query = queries.find(isOurs)?.perSecond.ratio
  const fault = faults.find(isOurs)
  const targets: Target[] = []
  if (lease) targets.push(atMost('connect and release, times pg.Pool', 0.7, lease.median, lease))
  if (query) targets.push(atLeast('queries a second by one caller, times pg.Pool', 1, query.median, query))
  targets.push(...targetsOfSharing(queries))
  if (fault) {
    const { restarts, forcedEnd } = fault
    const slowest = restarts.map(each => each.recoveredMs).reduce(later, 0)
    targets.push(atMost('ms from the return of a restarted server to the first answer', 1_000, slowest))
    targets.push(atMost('backends left 300 ms after a forced end', 0, forcedEnd.backends))
  }
  return targets
}

/** Of queries by a hundred callers, which share connections unless they are slow. */
function targetsOfSharing(queries: readonly QuerySummary[]): Target[] {
  const of = (contender: string, setting: Setting = {}): QuerySummary | undefined => {
    const name = nameOf(setting)
    return queries.find(each => each.contender === contender && each.callers === 100 && nameOf(each.setting) === name)
  }
  const targets: Target[] = []
  const { perSecond, cpuUs } = of('breakwater') ?? {}
  const rival = of('postgres.js')?.perSecond
  const by = 'by 100 callers, times'
  if (perSecond?.ratio)
    targets.push(atLeast(`queries a second ${by} pg.Pool`, 3, perSecond.ratio.median, perSecond.ratio))
  if (cpuUs?.ratio) targets.push(atMost(`CPU a query ${by} pg.Pool`, 0.4, cpuUs.ratio.median, cpuUs.ratio))
  if (perSecond && rival) {
    targets.push(atLeast(`queries a second ${by} postgres.js`, 1.3, perSecond.value.median / rival.value.median))
  }
  const far = of('breakwater', { addedMs: 1 })?.perSecond.ratio
  if (far) targets.push(atLeast(`queries a second ${by} pg.Pool, 1 ms further away`, 5, far.median, far))
  for (const share of [0.01, 0.05]) {
    const mixed = of('breakwater', { slowShare: share })
    const among = `with ${share * 100} % of 50 ms among them, times pg.Pool`
    const { perSecond, p99, p999 } = mixed ?? {}
    if (perSecond?.ratio) targets.push(atLeast(`queries a second ${among}`, 1, perSecond.ratio.median, perSecond.ratio))
    if (p99?.ratio) targets.push(atMost(`p99 of the quick ${among}`, 1, p99.ratio.median, p99.ratio))
    if (p999?.ratio) targets.push(atMost(`p99.9 of the quick ${among}`, 1, p999.ratio.median, p999.ratio))
  }
  return targets
}

/** null is never. */
function later(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : Math.max(one, other)
}
