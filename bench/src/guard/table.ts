/** Writes what was measured of the guard. */

import { formatCount, formatMs, tableOf, withRange } from '../report/format.js'
import type { Spread } from '../report/spread.js'
import { formatTarget } from '../report/target.js'
import type { AttackOutcome, FillOutcome } from './protocol.js'
import type { GuardResults } from './results.js'

const MEGABYTE = 1024 * 1024

export function formatGuardTables({ summary, build, fetch, attacks }: GuardResults): string[] {
  const { absent, existing, adds, ratio, errorRate } = summary
  const rates = [
    ['checks of absent keys a second', million(absent)],
    ['checks of existing keys a second', million(existing)],
    ['adds a second', million(adds)],
    ['checks, times bloom-filters as it comes', withRange(ratio, value => `${value.toFixed(0)}x`)],
    ['error rate at a million keys, for 1 %', withRange(errorRate, value => `${(100 * value).toFixed(3)} %`)],
  ]
  const fills = [
    ['building from the table', build] as const,
    ['fetching what another instance built', fetch] as const,
  ].flatMap(([what, outcome]) => (outcome === undefined ? [] : [fillRow(what, outcome)]))
  return [
    tableOf(['guard, a million keys, one core', ''], 1, rates),
    ...(fills.length > 0
      ? [tableOf(['filling it', 's', 'MB above idle', 'longest block ms', 'bits a key'], 1, fills)]
      : []),
    ...(attacks.length > 0 ? [tableOf(ATTACK_HEAD, 1, attacks.map(attackRow))] : []),
  ]
}

const ATTACK_HEAD = ['attack', 'absent/s', 'existing/s', 'existing, in memory/s', 'ids', 'DB QPS', 'kept kB']

function attackRow(each: AttackOutcome, index: number): string[] {
  const { absent, existing, warm, distinct, databaseQps, heapGrowthBytes } = each
  const rates = [absent, existing, warm, distinct].map(formatCount)
  return [`round ${index + 1}`, ...rates, formatCount(databaseQps), formatCount(heapGrowthBytes / 1_024)]
}

export function formatGuardVerdicts({ targets, failure }: GuardResults): string[] {
  return [
    ...(failure === undefined ? [] : [`guard: ended early: ${failure}`]),
    ...targets.map(target => formatTarget('guard', target)),
  ]
}

function million(value: Spread): string {
  return withRange(value, each => `${(each / 1e6).toFixed(2)} M`)
}

function fillRow(what: string, { ms, memoryBytes, blockedMs, bitsPerKey }: FillOutcome): string[] {
  return [
    what,
    (ms / 1_000).toFixed(2),
    formatCount(memoryBytes / MEGABYTE),
    formatMs(blockedMs),
    bitsPerKey.toFixed(2),
  ]
}
