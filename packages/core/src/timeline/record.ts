/** What is recorded of a start and a stop, as plain data. All instants are ms on the monotonic clock of the process. */

/** Which hook of a component it is, or is within. */
export type HookPhase =
  | 'start'
  | 'ready'
  | 'drain'
  | 'stop'
  /** Of a consumer, in their order. */
  | 'pause'
  | 'finish'
  | 'commit'
  | 'disconnect'

export type StepPhase =
  | HookPhase
  /** Before anything of this package ran: `process` and `imports`. */
  | 'boot'
  /** A wait of the stop: `drain-delay`, `in-flight`, `background`. */
  | 'wait'
  /** What was logged, measured and traced is sent off, as the last thing. */
  | 'flush'

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
  /** The component's name; of a step within a hook, the name that the hook gave it; of a wait, what is waited for. */
  readonly name: string
  readonly phase: StepPhase
  /** Ms on the monotonic clock, which begins with the process. */
  readonly startMs: number
  /** Ms; so far, while the outcome is `running`. */
  readonly durationMs: number
  readonly outcome: StepOutcome
  /** A code or a class name that says why it did not go well. */
  readonly reason?: string
  /** What the hook itself took for a step, in the order in which they began. */
  readonly steps?: readonly TimelineStep[]
}

/** Ends a step and returns its record. */
export type EndStep = (outcome: Exclude<StepOutcome, 'running'>, reason?: string) => TimelineStep
