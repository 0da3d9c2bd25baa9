/** By hand, and nothing is kept for an absent row. */

import { byHand } from './by-hand.js'
import type { Contender } from './contender.js'

export const baseline: Contender = byHand('baseline')
