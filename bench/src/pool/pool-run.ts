/** What a comparison of pools is given. */

export interface PoolRun {
  /** Longer windows and more of them. */
  readonly full: boolean
  readonly seed: number
  /** Ends the run, and every process of it, when it is aborted. */
  readonly signal: AbortSignal
  /** Told what begins. */
  onStep(step: string): void
}
