/** Which size of a sweep is the best one, and what a pool that looks for it must reach. */

import { spread } from '../report/spread.js'
import { atMost, type Target } from '../report/target.js'
import type { SizedLoad, SizeFigures, SizeRound, SizeTried } from './results.js'

/** As much is answered as with any size, to this part. */
const ANSWERED_RATIO = 0.95
/** And of a hundred callers who come by chance one waits for longer than with any size, by this part of what a use takes. */
const WAIT_RATIO = 0.2

export function figuresOf(rounds: readonly SizeRound[]): SizeFigures {
  const waits = rounds.flatMap(({ p99WaitMs }) => (p99WaitMs === undefined ? [] : [p99WaitMs]))
  return {
    perSecond: spread(rounds.map(({ perSecond }) => perSecond)),
    p99WaitMs: waits.length > 0 ? spread(waits) : undefined,
    errors: rounds.reduce((sum, { errors }) => sum + errors, 0),
  }
}

/**
 * Returns the smallest size that is as good as any: more connections than that are only in the way of others. Callers in a
 * loop wait for each other whatever the size, so for them what is answered decides alone.
 */
export function bestOf(sweep: readonly SizeTried[], meanMs: number | undefined): number {
  const tried = sweep.map(({ size, rounds }) => {
    const { perSecond, p99WaitMs } = figuresOf(rounds)
    return { size, perSecond: perSecond.median, waitMs: p99WaitMs?.median ?? 0 }
  })
  const most = Math.max(...tried.map(({ perSecond }) => perSecond))
  const least = Math.min(...tried.map(({ waitMs }) => waitMs))
  const best = tried.find(
    ({ perSecond, waitMs }) => perSecond >= most * ANSWERED_RATIO && waitMs <= least + WAIT_RATIO * (meanMs ?? 0),
  )
  return best?.size ?? Number.NaN
}

export function sizingTargets(loads: readonly SizedLoad[]): Target[] {
  return loads.flatMap(({ load, best, found }) => {
    const off = spread(found.map(({ size }) => Math.abs(size - best)))
    const grown = spread(found.map(({ grownMs }) => grownMs ?? Number.POSITIVE_INFINITY))
    return [
      // A size is a whole number: one more or less is as near as it gets.
      atMost(`${load}: connections off the best size, ${best}`, Math.max(1, best * 0.2), off.median, off),
      atMost(`${load}: ms from a step in load to four fifths of that`, 1_000, grown.median, grown),
    ]
  })
}
