/** By hand, with the usual remedy against ids that do not exist: that there is nothing is kept too, as long as Breakwater's `absentTtl`. */

import { byHand } from './by-hand.js'
import type { Contender } from './contender.js'

export const cachingNulls: Contender = byHand('caching-nulls', 30)
