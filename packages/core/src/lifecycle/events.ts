/** Everything that the lifecycle reports while it works: log lines, metrics and spans are made of these alone. */

import type { ComponentEvent } from '@breakwater/kernel'
import type { TimelineStep } from '../timeline/record.js'
import type { LeftWork } from '../work/work-list.js'

/** A hook or a wait is over. */
interface StepEnded extends ComponentEvent {
  readonly type: 'lifecycle.step'
  readonly step: TimelineStep
  /** Why, when the outcome is `failed` or `timeout`. */
  readonly error?: unknown
}

interface Ready extends ComponentEvent {
  readonly type: 'lifecycle.ready'
  readonly elapsedMs: number
  /** The optional components that the service now runs without. */
  readonly degraded: readonly string[]
}

/** An optional component that had failed was started once more, and failed again. */
interface RetryFailed extends ComponentEvent {
  readonly type: 'lifecycle.retry-failed'
  readonly component: string
  /** From 1. */
  readonly attempt: number
  /** Until the next one. */
  readonly nextMs: number
  readonly error: unknown
}

/** An optional component works now, after so many attempts behind the service; 0: its first start came late. */
interface Recovered extends ComponentEvent {
  readonly type: 'lifecycle.recovered'
  readonly component: string
  readonly attempts: number
}

/** Detached work has failed, or was not begun since the instance stops; nobody else is told. */
interface WorkFailed extends ComponentEvent {
  readonly type: 'lifecycle.work-failed'
  readonly name: string
  readonly error: unknown
}

/** The process was told to end, or crashed. */
interface Signalled extends ComponentEvent {
  readonly type: 'lifecycle.signal'
  /** Such as `SIGTERM`, `shutdown` (a message of the parent), `uncaughtException`, `unhandledRejection`. */
  readonly signal: string
  /** Whether it was the second, which ends everything by force. */
  readonly isSecond: boolean
  /** What it crashed of. */
  readonly error?: unknown
}

/** The stop begins. */
interface Draining extends ComponentEvent {
  readonly type: 'lifecycle.draining'
  readonly deadlineMs: number
  /** Requests and tracked work under way. */
  readonly inFlight: number
}

/** The time to stop in peace is over: what is left is ended by force. */
interface Forced extends ComponentEvent {
  readonly type: 'lifecycle.forced'
  readonly elapsedMs: number
  readonly left: Leftovers
}

/** The stop is over; what follows is sending off what was logged, measured and traced. */
interface Stopped extends ComponentEvent {
  readonly type: 'lifecycle.stopped'
  readonly elapsedMs: number
  readonly failures: number
  readonly forced: boolean
}

/** What was not over when the time to stop in peace was. */
export interface Leftovers {
  /** Requests, tracked and background work, the oldest first of each kind; at most 100. */
  readonly work: readonly LeftWork[]
  readonly workCount: number
  /** Hooks and waits under way, such as `jobs (finish)`. */
  readonly running: readonly string[]
  /** Consumers that have not committed. */
  readonly uncommitted: readonly string[]
  /** What components tell of themselves, by name: of `postgres` the clients in use and the callers that wait. */
  readonly components: Readonly<Record<string, unknown>>
  /** What keeps the process alive, by Node's names: `{ TCPSocketWrap: 3 }`. */
  readonly resources: Readonly<Record<string, number>>
}

export type LifecycleEvent =
  | StepEnded
  | Ready
  | RetryFailed
  | Recovered
  | WorkFailed
  | Signalled
  | Draining
  | Forced
  | Stopped
