/** Writes what was found of the size of a pool: a table for each load, and a line for each number to reach. */

import { formatCount, formatMs, tableOf, withRange } from '../report/format.js'
import { type Spread, spread } from '../report/spread.js'
import { formatTarget } from '../report/target.js'
import { figuresOf } from './best.js'
import type { SizedLoad, SizeRound, SizingResults } from './results.js'

export function formatSizingTables({ loads }: SizingResults): string[] {
  return loads.map(tableOfLoad)
}

export function formatSizingVerdicts({ targets, failure }: SizingResults): string[] {
  return [
    ...(failure === undefined ? [] : [`sizing: ended early: ${failure}`]),
    ...targets.map(target => formatTarget('sizing', target)),
  ]
}

function tableOfLoad({ load, sweep, best, found }: SizedLoad): string {
  const rows = sweep.map(({ size, rounds }) => [`${size}${size === best ? ', the best' : ''}`, ...cellsOf(rounds)])
  const over = (figure: (each: (typeof found)[number]) => number): Spread => spread(found.map(figure))
  const size = withRange(
    over(each => each.size),
    formatCount,
  )
  const inUse = over(each => each.load).median.toFixed(1)
  const need = over(each => each.need).median
  const grown = over(each => each.grownMs ?? Number.POSITIVE_INFINITY)
  const after = withRange(grown, ms => (Number.isFinite(ms) ? `${formatCount(ms)} ms` : 'never'))
  rows.push([`auto: ${size} (${inUse} in use, which need ${need}; there after ${after})`, ...cellsOf(found)])
  return tableOf([load, 'answers/s', 'p99 of the wait, ms', 'errors'], 1, rows)
}

function cellsOf(rounds: readonly SizeRound[]): string[] {
  const { perSecond, p99WaitMs, errors } = figuresOf(rounds)
  const wait = p99WaitMs ? withRange(p99WaitMs, formatMs) : '-'
  return [withRange(perSecond, formatCount), wait, formatCount(errors)]
}
