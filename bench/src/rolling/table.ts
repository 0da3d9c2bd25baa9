/** Prints what a rolling restart has cost each contender, and whether Breakwater's cost was none. */

import type { RollingResults } from './results.js'

export function formatRollingTable({ instances, rate, rounds, results, failure }: RollingResults): string {
  const head = `rolling: ${instances} instances, each replaced ${rounds} times, ${rate} requests a second, no request tried twice`
  const lines = results.map(({ contender, asked, failed, lost, endedBadly, restarts, stopMs, reasons }) => {
    const counts = `${failed} of ${asked} failed, ${lost} acknowledged writes lost`
    const ends = `${endedBadly} of ${restarts} ended badly, stop ${stopMs.p50.toFixed(0)} ms (longest ${stopMs.max.toFixed(0)})`
    const why = Object.entries(reasons).map(([reason, count]) => `${count} x ${reason}`)
    return `  ${contender.padEnd(18)}${counts}; ${ends}${why.length > 0 ? `; ${why.slice(0, 3).join(', ')}` : ''}`
  })
  return [head, ...lines, ...(failure === undefined ? [] : [`  ended early: ${failure}`])].join('\n')
}

export function formatRollingVerdict({ results }: RollingResults): string[] {
  const ours = results.find(each => each.contender === 'Breakwater')
  if (ours === undefined) return []
  const bad = ours.failed + ours.lost + ours.endedBadly
  return [`rolling: ${bad === 0 ? 'reached' : 'NOT reached'}: no request fails, no acknowledged write is lost, exit 0`]
}
