/** Writes what the soak has found. */

import { formatCount, tableOf } from '../report/format.js'
import { checksOf, type SoakResults } from './results.js'

export function formatSoakTable({ faults }: SoakResults): string {
  return tableOf(
    ['guard-soak', 'round', 'all answer again after s', 'open for s', 'checks', 'denied wrongly'],
    1,
    faults.map(({ name, round, recoveredMs, openMs, checks, falseNegatives }) => [
      name,
      String(round),
      seconds(recoveredMs),
      seconds(openMs),
      formatCount(checks),
      String(falseNegatives),
    ]),
  )
}

export function formatSoakVerdicts({ counts, addMs, builds, seconds: took, evidence, failure }: SoakResults): string[] {
  const { inserted, rolledBack, deleted, reads, wrongReads, falseNegatives } = counts
  return [
    ...(failure === undefined ? [] : [`guard-soak: ended early: ${failure}`]),
    `guard-soak: ${formatCount(checksOf(counts))} answers compared with the table in ${took.toFixed(0)} s, ${falseNegatives} existing rows denied; ${formatCount(reads)} reads, ${wrongReads} wrong`,
    `guard-soak: ${formatCount(inserted)} rows inserted, ${formatCount(rolledBack)} rolled back, ${formatCount(deleted)} deleted, ${builds} filters built; an add took ${addMs.p50.toFixed(1)} ms (p99 ${addMs.p99.toFixed(0)}, longest ${addMs.max.toFixed(0)})`,
    ...evidence.map(each => `guard-soak: ${each}`),
  ]
}

/** Whether a row was denied, or the soak did not get to its end. */
export function hasSoakFailed({ counts, failure }: SoakResults): boolean {
  return failure !== undefined || counts.falseNegatives > 0 || counts.wrongReads > 0
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1)
}
