/** Writes what was found of fleets, real and simulated. */

import { formatCount, tableOf } from '../report/format.js'
import { formatTarget } from '../report/target.js'
import type { FleetResults, FleetRound, Simulated } from './results.js'

const FIGURES: readonly (readonly [what: string, (of: FleetRound) => number | null])[] = [
  ['connections refused', each => each.refused],
  ['queries failed', each => each.errors],
  ['queries answered', each => each.answered],
  ['- by the instance with the fewest', each => each.fewest],
  ['- by the one with the most', each => each.most],
  ['most backends at one time', each => each.backends],
  ['statements a second for coordination', each => each.looksASecond],
  ['ms until shares follow a shift of demand', each => each.shiftMs],
  ['ms from kill -9 until its connections are used', each => each.takeoverMs],
  ['instances replaced, one after the other', each => each.replaced],
  ['connections refused meanwhile', each => each.rollingRefused],
  ['queries failed meanwhile', each => each.rollingErrors],
]

export function formatFleetTable({ rounds }: FleetResults): string {
  const [first] = rounds
  const title = first ? `${first.instances} processes, max_connections ${first.maxConnections}` : 'fleet'
  const rows = FIGURES.map(([what, of]) => [what, ...rounds.map(each => figure(of(each)))])
  return tableOf([title, ...rounds.map(each => each.contender)], 1, rows)
}

export function formatFleetVerdicts({ targets, failure }: FleetResults): string[] {
  return [
    ...(failure === undefined ? [] : [`fleet: ended early: ${failure}`]),
    ...targets.map(target => formatTarget('fleet', target)),
  ]
}

export function formatSimulatedTable(simulated: readonly Simulated[]): string {
  const rows = simulated.flatMap(({ members, ceiling, most, phases }) =>
    phases.map(({ name, settledMs, looksASecond, looksASecondAtRest, fairness }) => [
      `${formatCount(members)} members, ${formatCount(ceiling)} connections (most ${formatCount(most)})`,
      name,
      figure(settledMs),
      fairness.toFixed(3),
      formatCount(looksASecond),
      formatCount(looksASecondAtRest),
    ]),
  )
  return tableOf(['simulated fleet', 'change', 'settled ms', 'fairness', 'looks/s until then', 'then'], 2, rows)
}

function figure(value: number | null): string {
  return value === null ? '-' : formatCount(value)
}
