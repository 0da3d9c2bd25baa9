/** Writes what a run has found as one table, a row for each contender in each scenario. */

import { OURS } from '../contenders/index.js'
import { formatCount, formatMs, tableOf, withRange } from './format.js'
import type { Results } from './results.js'
import type { ContenderSummary } from './summary.js'

const HEAD = [
  'scenario',
  'contender',
  'DB QPS',
  'vs baseline',
  'requests/s',
  'p50 ms',
  'p99 ms',
  'p99.9 ms',
  'errors',
  'wrong',
]

/** Returns the table: medians over the rounds; for the database's part also the least and the greatest. */
export function formatTable(results: Results): string {
  const rows = results.scenarios.flatMap(({ name, summary }) =>
    summary.map((each, place) => [place === 0 ? name : '', ...formatContender(each)]),
  )
  return tableOf(HEAD, 2, rows)
}

/** Returns a line for each scenario that ended early, was answered wrongly, or has a number to reach. */
export function formatVerdicts(results: Results): string[] {
  return results.scenarios.flatMap(({ name, summary, failure, expectedReduction: expected }) => {
    const lines = failure === undefined ? [] : [`${name}: ended early: ${failure}`]
    for (const { contender, wrong, reduction } of summary) {
      if (wrong > 0) lines.push(`${name}: ${contender} gave ${wrong} answers that differ from the table`)
      // The others take part for comparison: nothing is asked of them.
      if (contender !== OURS || expected === undefined || reduction === undefined) continue
      const verdict = reduction.median >= expected ? 'as expected' : 'NOT as expected'
      lines.push(
        `${name}: ${contender} ${formatChange(reduction.median)} DB QPS, ${verdict} (${formatChange(expected)} or more)`,
      )
    }
    return lines
  })
}

function formatContender(each: ContenderSummary): string[] {
  return [
    each.contender,
    withRange(each.databaseQps, formatCount),
    each.reduction ? withRange(each.reduction, formatChange) : '',
    formatCount(each.requestsPerSecond.median),
    formatMs(each.p50.median),
    formatMs(each.p99.median),
    formatMs(each.p999.median),
    String(each.errors),
    String(each.wrong),
  ]
}

/** Takes a share that is gone, and writes the change: 0.95 is `-95.0 %`, and 0.9997 is not yet `-100 %`. */
function formatChange(reduction: number): string {
  const percent = -100 * reduction
  return `${percent > 0 ? '+' : ''}${percent.toFixed(percent < -99 ? 2 : 1)} %`
}
