/** Writes what became of each contender in each fault, a column for each contender. */

import { formatCount, tableOf } from '../report/format.js'
import { PEER } from './contenders/index.js'
import type { Faults } from './results.js'

/** One figure, or one a restart; null for what never came. */
type Figures = readonly (number | null)[]

const FIGURES: readonly (readonly [what: string, (of: Faults) => Figures])[] = [
  ['queries that the server refuses', ({ failing }) => [failing.refused]],
  ['- connections opened for them', ({ failing }) => [failing.connections]],
  ['- ms until all were refused', ({ failing }) => [failing.ms]],
  ['queries sent while the server restarts', ({ restarts }) => restarts.map(each => each.asked)],
  ['- of them failed', ({ restarts }) => restarts.map(each => each.errors)],
  ['- ms from its return to the first answer', ({ restarts }) => restarts.map(each => each.recoveredMs)],
  ['queries that run at a forced end', ({ forcedEnd }) => [forcedEnd.running]],
  ['- of them settled after 300 ms', ({ forcedEnd }) => [forcedEnd.settled]],
  ['- backends left after 300 ms', ({ forcedEnd }) => [forcedEnd.backends]],
]

/** @param faults At least one. */
export function faultTable(faults: readonly Faults[]): string {
  const peer = faults.find(({ contender }) => contender === PEER)
  const head = faults.flatMap(({ contender }) => (contender === PEER ? [contender] : [contender, `vs ${PEER}`]))
  const rows = FIGURES.map(([what, figuresOf]) => {
    const cells = faults.flatMap(each => {
      const own = figuresOf(each)
      return each === peer ? [text(own)] : [text(own), ratio(own, peer && figuresOf(peer))]
    })
    return [what, ...cells]
  })
  return tableOf(['fault', ...head], 1, rows)
}

function text(figures: Figures): string {
  return figures.map(figure => (figure === null ? 'never' : formatCount(figure))).join(', ')
}

/** Returns nothing where a ratio would say nothing: of equal figures, or to none. */
function ratio(own: Figures, peers: Figures | undefined): string {
  const [ours, theirs] = [total(own), total(peers ?? [])]
  if (ours === null || !theirs || ours === theirs) return ''
  return `${(ours / theirs).toFixed(3)}x`
}

function total(figures: Figures): number | null {
  return figures.reduce((sum, each) => (sum === null || each === null ? null : sum + each), 0)
}
