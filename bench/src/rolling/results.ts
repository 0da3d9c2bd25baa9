/** What a rolling restart has cost. */

export const rollingContenders = ['no handler', 'by hand', 'close-with-grace', 'Breakwater'] as const
export type RollingContender = (typeof rollingContenders)[number]

export interface RollingResult {
  readonly contender: RollingContender
  readonly restarts: number
  readonly asked: number
  /** Requests that were not answered with 200. */
  readonly failed: number
  readonly reasons: Readonly<Record<string, number>>
  /** Writes that were answered with 200 and are not in the table. */
  readonly lost: number
  /** Processes that did not end with code 0. */
  readonly endedBadly: number
  /** From the signal to the end of the process, ms, median and longest. */
  readonly stopMs: { readonly p50: number; readonly max: number }
}

export interface RollingResults {
  readonly instances: number
  readonly rate: number
  readonly rounds: number
  readonly results: readonly RollingResult[]
  /** Why it ended early, if it did. */
  readonly failure?: string
}
