/** Option `sizing`: a load that is known, or one that is to be found out. */

import type { Faults } from '@breakwater/kernel'
import { checkDemand, type Demand } from './size-pool.js'

/** `'auto'`, or what is known of the load; see `sizePool`. */
export type SizingOptions = 'auto' | Demand

/** Returns undefined if the application sizes the pool itself. */
export function resolveSizing(faults: Faults, given: unknown): SizingOptions | undefined {
  if (given === undefined || given === null || given === false) return undefined
  if (given === 'auto') return given
  const isDemand = typeof given === 'object'
  faults.check(isDemand, "sizing must be 'auto', or an object with targetQps and holdMs")
  if (isDemand) checkDemand(faults, given as Demand, 'sizing.')
  return isDemand ? (given as Demand) : undefined
}
