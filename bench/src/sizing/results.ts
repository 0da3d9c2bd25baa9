/** What was found of the size of a pool. */

import type { Spread } from '../report/spread.js'
import type { Target } from '../report/target.js'

export interface SizeRound {
  readonly perSecond: number
  /** Ms beyond the work itself: the wait for a connection, and what others do to the server; undefined for callers in a loop. */
  readonly p99WaitMs?: number
  readonly errors: number
}

/** A pool of a fixed size. */
export interface SizeTried {
  readonly size: number
  readonly rounds: readonly SizeRound[]
}

/** A pool that has found its size. */
export interface SizeFound extends SizeRound {
  /** That of the last seconds. */
  readonly size: number
  /** Connections that it saw in use on average, and what it took that to need. */
  readonly load: number
  readonly need: number
  /** Ms from the step in load until it had four fifths of the best size; null if it never had. */
  readonly grownMs: number | null
}

export interface SizedLoad {
  readonly load: string
  /** Of callers by chance: ms of one use, on average. */
  readonly meanMs?: number
  readonly sweep: readonly SizeTried[]
  /** The smallest size that is as good as any; see `bestOf`. */
  readonly best: number
  readonly found: readonly SizeFound[]
}

export interface SizingResults {
  readonly loads: readonly SizedLoad[]
  readonly targets: readonly Target[]
  /** Why it ended early, if it did. */
  readonly failure?: string
}

/** What was answered a second, and the wait, in several rounds; no wait for callers in a loop. */
export interface SizeFigures {
  readonly perSecond: Spread
  readonly p99WaitMs: Spread | undefined
  readonly errors: number
}
