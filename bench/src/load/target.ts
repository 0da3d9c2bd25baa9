/** Who is asked, and how an answer is judged. */

import type { Id } from '../data/entity.js'

export interface Target {
  ask(id: Id): Promise<unknown>
  /** Tells whether the answer is right; called after the latency was taken. */
  check(id: Id, answer: unknown): boolean
  /** Tells whether the latency of an answer counts. Default: that of each. */
  isTimed?(answer: unknown): boolean
}
