/** What the soak has found, as it is written to the results file. */

import type { Percentiles } from '../load/latency.js'
import type { SoakCounts } from './protocol.js'

/** One fault: how long it took until every guard answered again, and for how long any of them let every read through meanwhile. */
export interface SoakFaultResult {
  readonly name: string
  /** From 1. */
  readonly round: number
  readonly recoveredMs: number
  /** Of the instance that was open the longest. */
  readonly openMs: number
  /** Guard's answers compared with the table meanwhile, and those that were wrong. */
  readonly checks: number
  readonly falseNegatives: number
}

export interface SoakResults {
  readonly faults: readonly SoakFaultResult[]
  readonly counts: SoakCounts
  readonly builds: number
  /** How long an add took, those included that Redis could not acknowledge. */
  readonly addMs: Percentiles
  readonly audits: number
  readonly seconds: number
  /** When and where rows were denied, if any were. */
  readonly evidence: readonly string[]
  /** Why the soak ended early, if it did. */
  readonly failure?: string
}

/** Answers that were compared with the table. */
export function checksOf({ existing, absent }: SoakCounts): number {
  return existing + absent
}
