/** How large a filter is built, and when it has become too small. */

import { errorRateOf, type FilterShape, shapeFor } from './filter.js'
import { MOST_EXPECTED, type ResolvedGuardOptions } from './guard-options.js'

/** One that has become too small is built for this many times the keys it holds. */
const HEADROOM = 1.5
/** It has when its error rate is this many times what was asked for. */
const WORN = 2

/** @param entries keys in the filter that is replaced. */
export function shapeToBuild({ expected, errorRate }: ResolvedGuardOptions, entries: number): FilterShape {
  const keys = entries > expected ? Math.min(MOST_EXPECTED, Math.ceil(entries * HEADROOM)) : expected
  return shapeFor(keys, errorRate)
}

export function isWorn({ errorRate }: ResolvedGuardOptions, shape: FilterShape, entries: number): boolean {
  return errorRateOf(shape, entries) > WORN * errorRate
}
