/** One component while it is managed: what has become of it so far. Start and stop write here, and health reads. */

import { parseDuration } from '@breakwater/kernel'
import { type BuiltInComponent, DEFAULT_START_TIMEOUT_MS, DEFAULT_STOP_TIMEOUT_MS } from './component.js'

export type ComponentState =
  | 'idle'
  | 'starting'
  | 'started'
  /** Optional, and not working: the service runs without it. */
  | 'degraded'
  | 'failed'
  | 'stopping'
  | 'stopped'
  /** `enabled: false`. */
  | 'disabled'

export class Part {
  readonly component: BuiltInComponent
  readonly startTimeoutMs: number
  readonly stopTimeoutMs: number
  state: ComponentState = 'idle'
  /** Why it is degraded or failed. */
  error: unknown
  /** Whether `start` has succeeded and `stop` has not been called: there is something to stop. */
  started = false
  /** Whether `ready` has succeeded and `drain` has not been called: there is something to drain. */
  readied = false
  /** Whether a start or ready hook that was given up on still runs: nothing else may be called meanwhile. */
  overdue = false
  /** Whether the turn to be stopped came while a hook was overdue. */
  missedStop = false

  constructor(component: BuiltInComponent) {
    this.component = component
    this.startTimeoutMs = parseDuration(component.startTimeout) ?? DEFAULT_START_TIMEOUT_MS
    this.stopTimeoutMs = parseDuration(component.stopTimeout) ?? DEFAULT_STOP_TIMEOUT_MS
    if (component.enabled === false) this.state = 'disabled'
    else this.started = component.heldFromConstruction === true
  }

  get name(): string {
    return this.component.name
  }
}
