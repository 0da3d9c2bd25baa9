/** Adds the rounds up: for each part and contender the median of each figure, and what it is of the first contender's. */

import type { Compared } from '../pool/results.js'
import { spread } from '../report/spread.js'
import type { CacheRound, CacheSummary } from './results.js'

/** Returns one summary for each part and contender, in the order in which they first appear. */
export function summarizeCaches(rounds: readonly CacheRound[]): CacheSummary[] {
  return [...new Set(rounds.map(({ part }) => part))].flatMap(part => {
    const alike = rounds.filter(round => round.part === part)
    const contenders = [...new Set(alike.map(({ contender }) => contender))]
    const peers = alike.filter(({ contender }) => contender === contenders[0])
    return contenders.map(contender => {
      const own = alike.filter(round => round.contender === contender)
      const units = Object.keys(own[0]?.figures ?? {})
      const figures = units.map(unit => [unit, compare(own, contender === contenders[0] ? [] : peers, unit)] as const)
      return { part, contender, figures: Object.fromEntries(figures) }
    })
  })
}

/** Compares within a round, where both had the same machine. */
function compare(own: readonly CacheRound[], peers: readonly CacheRound[], unit: string): Compared {
  const ratios = own.flatMap(({ round, figures }) => {
    const peer = peers.find(each => each.round === round)?.figures[unit]
    return peer ? [(figures[unit] ?? Number.NaN) / peer] : []
  })
  return {
    value: spread(own.map(({ figures }) => figures[unit] ?? Number.NaN)),
    ...(ratios.length > 0 && { ratio: spread(ratios) }),
  }
}
