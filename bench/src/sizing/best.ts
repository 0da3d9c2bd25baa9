/** Which size of a sweep is the best one, and what a pool that looks for it must reach. */

import { atMost, type Target } from '../report/target.js'
import type { SizedLoad, SizeRound } from './results.js'

/** As much is answered as with any size, to this part. */
const ANSWERED_RATIO = 0.95
/** And of a hundred callers who come by chance one waits for longer than with any size, by this part of what a use takes. */
const WAIT_RATIO = 0.2

/**
 * Returns the smallest size that is as good as any: more connections than that are only in the way of others. Callers in a
 * loop wait for each other whatever the size, so for them what is answered decides alone.
 */
export function bestOf(sweep: readonly SizeRound[], meanMs: number | undefined): number {
  const most = Math.max(...sweep.map(({ perSecond }) => perSecond))
  const least = Math.min(...sweep.map(({ p99WaitMs = 0 }) => p99WaitMs))
  const isGood = ({ perSecond, p99WaitMs = 0 }: SizeRound): boolean =>
    perSecond >= most * ANSWERED_RATIO && p99WaitMs <= least + WAIT_RATIO * (meanMs ?? 0)
  return sweep.find(isGood)?.size ?? Number.NaN
}

export function sizingTargets(loads: readonly SizedLoad[]): Target[] {
  return loads.flatMap(({ load, best, auto, grownMs }) => [
    // A size is a whole number: one more or less is as near as it gets.
    atMost(`${load}: connections off the best size, ${best}`, Math.max(1, best * 0.2), Math.abs(auto.size - best)),
    atMost(`${load}: ms from a step in load to four fifths of that`, 1_000, grownMs),
  ])
}
