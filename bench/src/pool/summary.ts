/** Adds the rounds up: for each number of callers and each contender the median of each figure, and what it is of pg.Pool's. */

import { spread } from '../report/spread.js'
import { PEER } from './contenders/index.js'
import type { Compared, LeaseRound, LeaseSummary, QueryRound, QuerySummary, Round, Setting } from './results.js'

/** Returns one summary for each contender and number of callers, in the order in which they first appear. */
export function summarizeLeases(rounds: readonly LeaseRound[]): LeaseSummary[] {
  return groups(rounds).map(({ contender, callers, own, peer }) => ({
    contender,
    callers,
    cpuNs: compare(own, peer, each => each.cpuNs),
  }))
}

/** As `summarizeLeases`. */
export function summarizeQueries(rounds: readonly QueryRound[]): QuerySummary[] {
  const settings = distinct(rounds.map(each => each.setting).map(nameOf))
  return settings.flatMap(name => summarizeAlike(rounds.filter(each => nameOf(each.setting) === name)))
}

/** Returns what a table calls a setting; nothing for the usual one. */
export function nameOf({ slowShare, addedMs, connections }: Setting): string {
  const parts = [
    ...(slowShare === undefined ? [] : [`${slowShare * 100} % slow`]),
    ...(addedMs === undefined ? [] : [`+${addedMs} ms`]),
    ...(connections === undefined ? [] : [`${connections} connections`]),
  ]
  return parts.map(part => `, ${part}`).join('')
}

function summarizeAlike(rounds: readonly QueryRound[]): QuerySummary[] {
  const { setting = {} } = rounds[0] ?? {}
  return groups(rounds).map(({ contender, callers, own, peer }) => ({
    contender,
    callers,
    setting,
    perSecond: compare(own, peer, each => each.perSecond),
    cpuUs: compare(own, peer, each => each.cpuUs),
    p50: compare(own, peer, each => each.latencyMs.p50),
    p99: compare(own, peer, each => each.latencyMs.p99),
    p999: compare(own, peer, each => each.latencyMs.p999),
    wrong: own.reduce((sum, each) => sum + each.wrong, 0),
    errors: own.reduce((sum, each) => sum + each.errors, 0),
  }))
}

interface Group<R> extends Pick<Round, 'contender' | 'callers'> {
  readonly own: readonly R[]
  /** pg.Pool's rounds with as many callers; none for itself. */
  readonly peer: readonly R[]
}

function groups<R extends Round>(rounds: readonly R[]): Group<R>[] {
  return distinct(rounds.map(each => each.callers)).flatMap(callers => {
    const alike = rounds.filter(each => each.callers === callers)
    const of = (contender: string): R[] => alike.filter(each => each.contender === contender)
    return distinct(alike.map(each => each.contender)).map(contender => ({
      contender,
      callers,
      own: of(contender),
      peer: contender === PEER ? [] : of(PEER),
    }))
  })
}

/** Compares within a round, where both had the same machine. */
function compare<R extends Round>(own: readonly R[], peer: readonly R[], figure: (round: R) => number): Compared {
  const ratios = own.flatMap(each => {
    const same = peer.find(({ round }) => round === each.round)
    return same ? [figure(each) / figure(same)] : []
  })
  return { value: spread(own.map(figure)), ...(ratios.length > 0 && { ratio: spread(ratios) }) }
}

function distinct<V>(values: readonly V[]): V[] {
  return [...new Set(values)]
}
