/** A timeline for a terminal. */

import { criticalPath, type Half, isWell, labelOf, roundedMs, totalMsOf } from './halves.js'
import type { TimelineStep } from './record.js'

interface Line {
  readonly mark: string
  readonly label: string
  readonly step: TimelineStep
}

/** One line for each step: when it began, how long it took, what became of it. */
export function toTree(halves: readonly Half[]): string {
  const blocks = halves.map(half => {
    const critical = criticalPath(half)
    const lines = half.steps.flatMap((step, at) =>
      linesOf(step, '', at === half.steps.length - 1, isMarked => critical.has(isMarked)),
    )
    const width = Math.max(...lines.map(({ label }) => label.length))
    const title = `${half.name}: ${roundedMs(totalMsOf(half))}`
    return [title, ...lines.map(line => print(line, width))].join('\n')
  })
  return blocks.join('\n\n')
}

function linesOf(
  step: TimelineStep,
  indent: string,
  isLast: boolean,
  isCritical: (step: TimelineStep) => boolean,
): Line[] {
  const mark = isWell(step) ? (isCritical(step) ? '*' : ' ') : '!'
  const label = `${indent}${isLast ? '└─' : '├─'} ${indent === '' ? labelOf(step) : step.name}`
  const within = step.steps ?? []
  const deeper = `${indent}${isLast ? '   ' : '│  '}`
  return [
    { mark, label, step },
    ...within.flatMap((each, at) => linesOf(each, deeper, at === within.length - 1, isCritical)),
  ]
}

function print({ mark, label, step }: Line, width: number): string {
  const { startMs, durationMs, outcome, reason } = step
  const at = `${Math.round(startMs)}`.padStart(7)
  const took = roundedMs(durationMs).padStart(9)
  const end = outcome === 'ok' ? '' : `  ${outcome}${reason === undefined ? '' : `: ${reason}`}`
  return `${mark} ${label.padEnd(width)} ${at} +${took}${end}`
}
