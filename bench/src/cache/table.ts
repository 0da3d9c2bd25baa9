/** Writes what a comparison of caches has found: a table for each kind of part, and a line for each number to reach. */

import { formatCount, formatMs, tableOf, withRange } from '../report/format.js'
import { formatTarget } from '../report/target.js'
import type { CacheResults, CacheSummary, FrozenRedis, StaleAudit } from './results.js'

/** Returns the tables of the parts that were measured: medians over the rounds, `x` for what they are of the first contender's. */
export function formatCacheTables({ summary, frozen, audits }: CacheResults): string[] {
  const parts = [...new Set(summary.map(({ part }) => part))]
  const tables = parts.map(part =>
    partTable(
      part,
      summary.filter(each => each.part === part),
    ),
  )
  if (frozen.length > 0) tables.push(frozenTable(frozen))
  if (audits.length > 0) tables.push(auditTable(audits))
  return tables
}

export function formatCacheVerdicts({ targets, failure }: CacheResults): string[] {
  return [
    ...(failure === undefined ? [] : [`cache: ended early: ${failure}`]),
    ...targets.map(target => formatTarget('cache', target)),
  ]
}

function partTable(part: string, rows: readonly CacheSummary[]): string {
  const units = Object.keys(rows[0]?.figures ?? {})
  const isCompared = rows.length > 1 && rows.some(({ figures }) => units.some(unit => figures[unit]?.ratio))
  const head = [part, ...units.flatMap(unit => (isCompared ? [unit, `vs ${rows[0]?.contender}`] : [unit]))]
  return tableOf(
    head,
    1,
    rows.map(({ contender, figures }) => [
      contender,
      ...units.flatMap(unit => {
        const figure = figures[unit]
        const value = figure ? withRange(figure.value, formatCount) : ''
        const ratio = figure?.ratio ? `${withRange(figure.ratio, each => each.toFixed(2))}x` : ''
        return isCompared ? [value, ratio] : [value]
      }),
    ]),
  )
}

function frozenTable(frozen: readonly FrozenRedis[]): string {
  const cell = ({ ms, outcome }: FrozenRedis['cold']): string =>
    outcome === 'answered' ? formatMs(ms) : outcome === 'failed' ? `failed, ${formatMs(ms)}` : `> ${formatCount(ms)}`
  return tableOf(
    ['Redis frozen, ms to an answer', 'a warm key', 'a cold key', 'the next'],
    1,
    frozen.map(({ contender, warm, cold, next }) => [contender, cell(warm), cell(cold), cell(next)]),
  )
}

function auditTable(audits: readonly StaleAudit[]): string {
  return tableOf(
    [
      'stale reads, 4 processes, 40 readers, 2 writers',
      'reads',
      'stale',
      '%',
      'by ms, at most',
      'writes',
      'errors',
      'stood still, ms',
    ],
    1,
    audits.map(({ contender, reads, stale, latestMs, writes, errors, stoodStillMs }) => [
      contender,
      formatCount(reads),
      formatCount(stale),
      ((100 * stale) / reads).toFixed(2),
      formatCount(latestMs),
      formatCount(writes),
      formatCount(errors),
      formatCount(stoodStillMs),
    ]),
  )
}
