/** What was measured of the guard, as it is written to the results file. */

import type { Spread } from '../report/spread.js'
import type { Target } from '../report/target.js'
import type { AttackOutcome, FillOutcome, RateOutcome } from './protocol.js'

export interface GuardRound {
  /** From 1. */
  readonly round: number
  readonly guard: RateOutcome
  readonly stock: RateOutcome
}

export interface GuardResults {
  readonly rounds: readonly GuardRound[]
  /** By the first process, which builds, and by one that comes later and fetches. */
  readonly build: FillOutcome | undefined
  readonly fetch: FillOutcome | undefined
  readonly attacks: readonly AttackOutcome[]
  readonly summary: {
    readonly absent: Spread
    readonly existing: Spread
    readonly adds: Spread
    /** Times bloom-filters as it comes, in the same round. */
    readonly ratio: Spread
    readonly errorRate: Spread
  }
  readonly targets: readonly Target[]
  readonly failure?: string
}
