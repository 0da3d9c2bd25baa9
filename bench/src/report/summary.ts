/** Adds the rounds of a scenario up: the median of each figure with the least and the greatest, for each contender. */

import { BASELINE, type ContenderName } from '../contenders/index.js'
import type { Round } from './results.js'
import { type Spread, spread } from './spread.js'

export interface ContenderSummary {
  readonly contender: ContenderName
  readonly databaseQps: Spread
  /** Share of the baseline's database QPS that is gone, in the same round; negative if there is more. */
  readonly reduction?: Spread
  readonly requestsPerSecond: Spread
  /** Ms. */
  readonly p50: Spread
  readonly p99: Spread
  readonly p999: Spread
  /** Over all rounds. */
  readonly errors: number
  readonly wrong: number
}

export type ScenarioSummary = readonly ContenderSummary[]

/** Returns one summary a contender, in the order in which they first appear. */
export function summarize(rounds: readonly Round[]): ScenarioSummary {
  const baselineQps = new Map(
    rounds.filter(each => each.contender === BASELINE).map(each => [each.round, each.databaseQps]),
  )
  return [...new Set(rounds.map(each => each.contender))].map(contender => {
    const own = rounds.filter(each => each.contender === contender)
    const reductions = own.flatMap(({ round, databaseQps }) => {
      const base = baselineQps.get(round)
      return contender === BASELINE || !base ? [] : [1 - databaseQps / base]
    })
    return {
      contender,
      databaseQps: spread(own.map(each => each.databaseQps)),
      ...(reductions.length > 0 && { reduction: spread(reductions) }),
      requestsPerSecond: spread(own.map(each => each.requestsPerSecond)),
      p50: spread(own.map(each => each.latencyMs.p50)),
      p99: spread(own.map(each => each.latencyMs.p99)),
      p999: spread(own.map(each => each.latencyMs.p999)),
      errors: own.reduce((sum, each) => sum + each.errors, 0),
      wrong: own.reduce((sum, each) => sum + each.wrong, 0),
    }
  })
}
