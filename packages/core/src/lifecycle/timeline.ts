/** The record of every step of the start and of the stop, on the monotonic clock, kept while it happens. */

import type { Clock } from '@breakwater/kernel'

export type StepPhase = 'start' | 'ready' | 'drain' | 'stop'

export type StepOutcome =
  /** Not over yet. */
  | 'running'
  | 'ok'
  | 'failed'
  /** Its deadline passed first. */
  | 'timeout'
  /** It was told to let go, since another had failed or the start was called off, and did. */
  | 'aborted'
  /** The component is not enabled. */
  | 'skipped'

export interface TimelineStep {
  /** The component's name. */
  readonly name: string
  readonly phase: StepPhase
  /** Ms on the monotonic clock, which begins with the process. */
  readonly startMs: number
  /** Ms; so far, while the outcome is `running`. */
  readonly durationMs: number
  readonly outcome: StepOutcome
}

export interface Timeline {
  /** In the order in which they began. */
  readonly steps: readonly TimelineStep[]
}

/** Ends a step and returns its record. */
export type EndStep = (outcome: Exclude<StepOutcome, 'running'>) => TimelineStep

interface RecordedStep {
  readonly name: string
  readonly phase: StepPhase
  readonly startMs: number
  ended?: TimelineStep
}

export class Recorder {
  readonly #clock: Clock
  readonly #steps: RecordedStep[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Begins a step that lasts until the returned function is called. */
  begin(name: string, phase: StepPhase): EndStep {
    const startMs = this.#clock.now()
    const step: RecordedStep = { name, phase, startMs }
    this.#steps.push(step)
    return outcome => {
      step.ended = { name, phase, startMs, durationMs: this.#clock.now() - startMs, outcome }
      return step.ended
    }
  }

  /** Returns a copy of what is known now. */
  timeline(): Timeline {
    const now = this.#clock.now()
    return {
      steps: this.#steps.map(
        ({ name, phase, startMs, ended }) =>
          ended ?? { name, phase, startMs, durationMs: now - startMs, outcome: 'running' },
      ),
    }
  }
}
