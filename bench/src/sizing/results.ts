/** What was found of the size of a pool. */

import type { Target } from '../report/target.js'

export interface SizeRound {
  readonly size: number
  readonly perSecond: number
  /** Ms beyond the work itself: the wait for a connection, and what others do to the server; undefined for callers in a loop. */
  readonly p99WaitMs?: number
  readonly errors: number
}

export interface SizedLoad {
  readonly load: string
  /** Of callers by chance: ms of one use, on average. */
  readonly meanMs?: number
  readonly sweep: readonly SizeRound[]
  /** The smallest size that is as good as any; see `bestOf`. */
  readonly best: number
  /** With the size that the pool found itself, which is that of the last three seconds. */
  readonly auto: SizeRound
  /** Connections that it saw in use on average, and what it took that to need. */
  readonly seen: { readonly load: number; readonly need: number }
  /** Ms from the step in load until it had four fifths of the best size; null if it never had. */
  readonly grownMs: number | null
}

export interface SizingResults {
  readonly loads: readonly SizedLoad[]
  readonly targets: readonly Target[]
  /** Why it ended early, if it did. */
  readonly failure?: string
}
