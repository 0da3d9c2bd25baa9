/** Records every step of the start and of the stop while it happens. */

import type { Clock } from '@breakwater/kernel'
import type { EndStep, StepPhase, TimelineStep } from './record.js'

/** A step under way or over. */
interface OpenStep {
  readonly name: string
  readonly phase: StepPhase
  readonly startMs: number
  readonly within: OpenStep[]
  end: Pick<TimelineStep, 'durationMs' | 'outcome' | 'reason'> | undefined
}

/** A step that has begun. */
export interface BegunStep {
  readonly end: EndStep
  /** Begins a step within this one. */
  begin(name: string): BegunStep
}

export class Recorder {
  readonly #clock: Clock
  readonly #steps: OpenStep[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Begins a step that lasts until its `end` is called. */
  begin(name: string, phase: StepPhase): BegunStep {
    return this.#begin(this.#steps, name, phase)
  }

  /** Returns a copy of what is known now, in the order in which it began. */
  steps(): TimelineStep[] {
    const now = this.#clock.now()
    return this.#steps.map(step => recordOf(step, now))
  }

  #begin(among: OpenStep[], name: string, phase: StepPhase): BegunStep {
    const step: OpenStep = { name, phase, startMs: this.#clock.now(), within: [], end: undefined }
    among.push(step)
    return {
      begin: inner => this.#begin(step.within, inner, phase),
      end: (outcome, reason) => {
        const now = this.#clock.now()
        step.end ??= { durationMs: now - step.startMs, outcome, ...(reason !== undefined && { reason }) }
        return recordOf(step, now)
      },
    }
  }
}

function recordOf({ name, phase, startMs, within, end }: OpenStep, now: number): TimelineStep {
  const ended = end ?? { durationMs: now - startMs, outcome: 'running' as const }
  const steps = within.map(each => recordOf(each, now))
  return { name, phase, startMs, ...ended, ...(steps.length > 0 && { steps }) }
}
