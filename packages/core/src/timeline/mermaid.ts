/** A timeline as text for Mermaid: when (gantt), and what after what (flowchart). */

import { criticalPath, endOf, type Half, isBefore, isWell, labelOf, roundedMs, totalMsOf } from './halves.js'
import type { TimelineStep } from './record.js'

/** One section for each half; a step that did not go well says so in its name. */
export function toGantt(halves: readonly Half[]): string {
  const lines = ['gantt', '  dateFormat x', '  axisFormat %S.%L s', '  todayMarker off']
  for (const half of halves) {
    const critical = criticalPath(half)
    lines.push(`  section ${half.name} (${roundedMs(totalMsOf(half))})`)
    half.steps.forEach((step, at) => {
      const id = `${half.name}${at}`
      lines.push(bar(labelOf(step), step, critical.has(step), id))
      step.steps?.forEach((each, inner) => {
        lines.push(bar(`– ${each.name}`, each, false, `${id}_${inner}`))
      })
    })
  }
  return `${lines.join('\n')}\n`
}

function bar(label: string, step: TimelineStep, isCritical: boolean, id: string): string {
  const tag = isCritical ? 'crit, ' : step.outcome === 'running' ? 'active, ' : isWell(step) ? 'done, ' : ''
  const failure = isWell(step) ? '' : ` – ${step.outcome}${step.reason === undefined ? '' : ` ${step.reason}`}`
  const start = Math.round(step.startMs)
  // A bar of no length is not drawn.
  const end = Math.max(start + 1, Math.round(endOf(step)))
  return `  ${taskName(`${label} ${roundedMs(step.durationMs)}${failure}`)} :${tag}${id}, ${start}, ${end}`
}

/** A colon ends a task's name in Mermaid, a hash or a semicolon begins something else. */
function taskName(text: string): string {
  return text.replace(/[:#;,\n]/g, ' ')
}

const CLASSES = [
  '  classDef failed fill:#f8d7da,stroke:#b02a37,color:#58151c',
  '  classDef critical stroke:#d9480f,stroke-width:3px',
]

/** A node for each step, with its time; of the start along what depends on what, of the stop along what came after what. */
export function toFlowchart(half: Half, needs: Readonly<Record<string, readonly string[]>>): string {
  const { name, steps } = half
  const critical = criticalPath(half)
  const lines = ['flowchart TD']
  const idOf = new Map(steps.map((step, at) => [step, `s${at}`]))
  for (const [step, id] of idOf) {
    const failure = isWell(step) ? '' : `<br/>${step.outcome}${step.reason === undefined ? '' : ` ${step.reason}`}`
    const inner = (step.steps ?? []).map(each => `<br/>– ${each.name} ${roundedMs(each.durationMs)}`).join('')
    const text = `${nodeText(labelOf(step))}<br/>${roundedMs(step.durationMs)}${nodeText(inner, true)}${nodeText(failure, true)}`
    lines.push(`  ${id}["${text}"]`)
  }
  const edges: (readonly [TimelineStep, TimelineStep | undefined])[] = steps.flatMap(step => {
    const before = name === 'start' && step.phase === 'start' ? neededBy(step, steps, needs) : justBefore(step, steps)
    return before.map(each => [each, step] as const)
  })
  // What is switched off stands apart.
  const ran = steps.filter(({ outcome }) => outcome !== 'skipped')
  edges.push(...ends(ran, edges).map(step => [step, undefined] as const))
  if (steps.length > 0) {
    const isUp = name === 'start' && steps.every(isWell)
    const end = name === 'stop' ? 'stopped' : isUp ? 'ready' : 'failed'
    lines.push(`  fin(["${end}<br/>${roundedMs(totalMsOf(half))}"])`)
  }
  for (const [from, to] of edges) lines.push(`  ${idOf.get(from)} --> ${to === undefined ? 'fin' : idOf.get(to)}`)
  const classed = (isIn: (step: TimelineStep) => boolean): string =>
    steps
      .filter(isIn)
      .map(step => idOf.get(step))
      .join(',')
  const failed = classed(step => !isWell(step))
  const onPath = classed(step => critical.has(step))
  lines.push(...CLASSES)
  if (onPath !== '') lines.push(`  class ${onPath} critical`)
  if (failed !== '') lines.push(`  class ${failed} failed`)
  return `${lines.join('\n')}\n`
}

/** What has no dependency comes after the process's own way. */
function neededBy(
  step: TimelineStep,
  steps: readonly TimelineStep[],
  needs: Readonly<Record<string, readonly string[]>>,
): readonly TimelineStep[] {
  const needed = needs[step.name] ?? []
  // What is needed by something that is needed need not be drawn to this as well.
  const direct = needed.filter(name => !needed.some(other => other !== name && reaches(other, name, needs)))
  const found = steps.filter(each => each.phase === 'start' && direct.includes(each.name))
  return found.length > 0 ? found : steps.filter(each => each.phase === 'boot').slice(-1)
}

function reaches(from: string, to: string, needs: Readonly<Record<string, readonly string[]>>): boolean {
  return (needs[from] ?? []).some(each => each === to || reaches(each, to, needs))
}

/** Those that were over when it began, and after which nothing else was. */
function justBefore(step: TimelineStep, steps: readonly TimelineStep[]): readonly TimelineStep[] {
  const before = steps.filter(each => isBefore(each, step))
  return before.filter(each => !before.some(later => later !== each && isBefore(each, later) && !isBefore(later, each)))
}

function ends(
  steps: readonly TimelineStep[],
  edges: readonly (readonly [TimelineStep, TimelineStep | undefined])[],
): readonly TimelineStep[] {
  return steps.filter(step => !edges.some(([from]) => from === step))
}

/** Mermaid takes an entity code where a character would end the text or begin a tag. */
function nodeText(text: string, hasBreaks = false): string {
  const escaped = text.replace(/["#<>`]/g, each => `#${each.charCodeAt(0)};`)
  return hasBreaks ? escaped.replaceAll('#60;br/#62;', '<br/>') : escaped
}
