/** The contract between whatever is started and stopped and whoever starts and stops it. */

import type { Deadline } from './deadline.js'

/** Given to each step of a component's life. */
export interface StepContext {
  /** Aborted when the step is no longer wanted: a sibling failed, or its deadline has passed. */
  readonly signal: AbortSignal
  /** By when the step must be over. */
  readonly deadline: Deadline
}

/**
 * A part that is started once and stopped once. Every step may be called when it has nothing to do, `dispose` also
 * without `init` and after an `init` that failed.
 */
export interface Managed {
  readonly name: string
  /** Makes the part ready for use, or rejects and leaves nothing behind. */
  init?(context: StepContext): Promise<void>
  /** Takes no new work and resolves when what was taken is done. */
  drain?(context: StepContext): Promise<void>
  /** Frees everything; resolves when it is gone. Past the deadline it still frees, without waiting. */
  dispose(context: StepContext): Promise<void>
}
