/** Looks at what is left when the time to stop in peace is over, before it is ended by force. */

import type { StepPhase, TimelineStep } from '../timeline/record.js'
import type { InFlight } from '../work/in-flight.js'
import type { Leftovers } from './events.js'
import type { Part } from './part.js'

/** So many are enough to see what they have in common. */
const LISTED = 100
const BEFORE_COMMIT: readonly StepPhase[] = ['pause', 'finish', 'commit']

export function leftoversOf(parts: readonly Part[], steps: readonly TimelineStep[], inFlight: InFlight): Leftovers {
  const running = steps.filter(step => step.outcome === 'running')
  const work = inFlight.left()
  const isUncommitted = (part: Part): boolean =>
    part.isConsumer &&
    (part.readied || running.some(step => step.name === part.name && BEFORE_COMMIT.includes(step.phase)))
  const told = parts.flatMap(part => {
    const left = part.component.left?.()
    return left === undefined ? [] : [[part.name, left] as const]
  })
  return {
    work: work.slice(0, LISTED),
    workCount: work.length,
    running: running.map(({ name, phase }) => `${name} (${phase})`),
    uncommitted: parts.filter(isUncommitted).map(part => part.name),
    components: Object.fromEntries(told),
    resources: resources(),
  }
}

function resources(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
