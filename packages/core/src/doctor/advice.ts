/** How many connections a service wants, and how many the server has for it. */

import { sizePool } from '@breakwater/pool'
import { usableConnections } from '../environment/checks.js'
import type { PostgresFacts } from '../environment/facts.js'

export interface Load {
  /** Instances of the service that run at once. */
  readonly instances: number
  /** Queries a second of all instances together. */
  readonly qps: number
  /** Ms that a query holds its connection. */
  readonly holdMs: number
}

export interface Advice {
  /** `max` for each instance's pool. */
  readonly max: number
  /** Connections in use on average, for each instance. */
  readonly busy: number
  /** The most that each instance may have, one more instance counted in for deploys. */
  readonly share: number
  /** Whether the share is less than what the load wants. */
  readonly isShort: boolean
}

/** Sizes each instance's pool by `sizePool`, within its share of the server. */
export function advise(facts: PostgresFacts, { instances, qps, holdMs }: Load): Advice {
  const share = Math.max(0, Math.floor(usableConnections(facts) / (instances + 1)))
  const { size, load, need } = sizePool({ targetQps: qps / instances, holdMs }, { share: Math.max(1, share) })
  return { max: size, busy: load, share, isShort: need > share }
}
