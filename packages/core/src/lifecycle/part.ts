/** One component while it is managed: what has become of it so far. Start and stop write here, and health reads. */

import { parseDuration } from '@breakwater/kernel'
import {
  type BuiltInComponent,
  CONSUMER_HOOKS,
  DEFAULT_START_TIMEOUT_MS,
  DEFAULT_STOP_TIMEOUT_MS,
} from './component.js'

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
  /** Whether `start` has succeeded. */
  isUp = false
  /** Whether there is something to stop: `start` has succeeded, or it is held from construction on, and no `stop` yet. */
  started = false
  /** Whether `ready` has succeeded and neither `drain` nor `pause` has been called: it takes work in. */
  readied = false
  /** Whether a start or ready hook that was given up on still runs: nothing else may be called meanwhile. */
  overdue = false
  /** Whether the turn to be stopped came while a hook was overdue. */
  missedStop = false

  constructor(component: BuiltInComponent) {
    this.component = component
    this.startTimeoutMs = parseDuration(component.startTimeout) ?? DEFAULT_START_TIMEOUT_MS
    this.stopTimeoutMs = parseDuration(component.stopTimeout) ?? DEFAULT_STOP_TIMEOUT_MS
    const { enabled = true } = component
    const isEnabled = typeof enabled === 'function' ? enabled.call(component) : enabled
    if (!isEnabled) this.state = 'disabled'
    else this.started = component.heldFromConstruction === true
  }

  get name(): string {
    return this.component.name
  }

  get isConsumer(): boolean {
    return CONSUMER_HOOKS.some(hook => this.component[hook] !== undefined)
  }
}
