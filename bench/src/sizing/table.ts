/** Writes what was found of the size of a pool: a table for each load, and a line for each number to reach. */

import { formatCount, formatMs, tableOf } from '../report/format.js'
import { formatTarget } from '../report/target.js'
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

function tableOfLoad({ load, sweep, best, auto, seen, grownMs }: SizedLoad): string {
  const figures = ({ perSecond, p99WaitMs, errors }: SizeRound): string[] => [
    formatCount(perSecond),
    p99WaitMs === undefined ? '-' : formatMs(p99WaitMs),
    formatCount(errors),
  ]
  const rows = sweep.map(each => [`${each.size}${each.size === best ? ', the best' : ''}`, ...figures(each)])
  const grown = grownMs === null ? 'never there' : `there after ${formatCount(grownMs)} ms`
  const why = `${seen.load.toFixed(1)} in use, which need ${seen.need}`
  rows.push([`auto: ${auto.size} (${why}; ${grown})`, ...figures(auto)])
  return tableOf([load, 'answers/s', 'p99 of the wait, ms', 'errors'], 1, rows)
}
