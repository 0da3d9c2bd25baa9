/** Writes what a comparison of pools has found: a table for each part, and a line for each number to reach. */

import { formatCount, formatMs, tableOf, withRange } from '../report/format.js'
import { formatTarget } from '../report/target.js'
import { PEER } from './contenders/index.js'
import type { Compared, LeaseSummary, PoolResults, QuerySummary } from './results.js'
import { nameOf } from './summary.js'
import { faultTable } from './table-of-faults.js'

const LEASE_HEAD = ['acquire and release', 'contender', 'CPU ns', `vs ${PEER}`]
const QUERY_HEAD = [
  'queries by key',
  'contender',
  'queries/s',
  `vs ${PEER}`,
  'p50 ms',
  'p99 ms',
  'p99.9 ms',
  'CPU us/query',
  'errors',
  'wrong',
]

/** Returns the tables of the parts that were measured: medians over the rounds, `x` for what they are of pg.Pool's. */
export function formatPoolTables({ leases, queries, faults }: PoolResults): string[] {
  const tables: string[] = []
  if (leases.summary.length > 0) tables.push(tableOf(LEASE_HEAD, 2, leases.summary.map(leaseRow)))
  if (queries.summary.length > 0) tables.push(tableOf(QUERY_HEAD, 2, queries.summary.map(queryRow)))
  if (faults.length > 0) tables.push(faultTable(faults))
  return tables
}

/** Returns a line for each number to reach, for wrong rows, and for what ended the comparison early. */
export function formatPoolVerdicts({ queries, targets, failure }: PoolResults): string[] {
  const wrong = queries.summary.filter(each => each.wrong > 0)
  return [
    ...(failure === undefined ? [] : [`pool: ended early: ${failure}`]),
    ...wrong.map(each => `pool: ${each.contender} gave ${each.wrong} rows that differ from the table`),
    ...targets.map(target => formatTarget('pool', target)),
  ]
}

function leaseRow({ contender, callers, cpuNs }: LeaseSummary): string[] {
  const what = callers === 1 ? 'idle connection' : `${formatCount(callers)} callers, dummies`
  return [named(what, contender), contender, withRange(cpuNs.value, formatCount), ratioWithRange(cpuNs)]
}

/** The range is that of the ratio: within a round both had the same machine, from round to round it changes. */
function queryRow(each: QuerySummary): string[] {
  const { contender, callers, setting, perSecond, p50, p99, p999, cpuUs, errors, wrong } = each
  return [
    named(`${callers === 1 ? '1 caller' : `${formatCount(callers)} callers`}${nameOf(setting)}`, contender),
    contender,
    formatCount(perSecond.value.median),
    ratioWithRange(perSecond),
    withRatio(p50, formatMs),
    withRatio(p99, formatMs),
    withRatio(p999, formatMs),
    withRatio(cpuUs, formatCount),
    String(errors),
    String(wrong),
  ]
}

/** The first row of a group carries its name. */
function named(name: string, contender: string): string {
  return contender === PEER ? name : ''
}

function ratioWithRange({ ratio }: Compared): string {
  return ratio ? `${withRange(ratio, value => value.toFixed(2))}x` : ''
}

function withRatio({ value, ratio }: Compared, format: (value: number) => string): string {
  return ratio ? `${format(value.median)} (${ratio.median.toFixed(2)}x)` : format(value.median)
}
