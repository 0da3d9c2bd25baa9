/** What a cache lends to each of its spaces. */

import type { BreakwaterError, Clock, Logger } from '@breakwater/kernel'
import type { KeyLayout } from './keys.js'
import type { InFlight } from './load/in-flight.js'
import type { MissBudget } from './load/miss-budget.js'
import type { MemoryTier } from './memory/memory-tier.js'
import type { RedisClient } from './redis/client.js'

export interface SpaceSurroundings {
  readonly clock: Clock
  readonly logger: Logger | undefined
  readonly redis: RedisClient | undefined
  readonly layout: KeyLayout
  readonly memory: MemoryTier
  readonly budget: MissBudget
  readonly inFlight: InFlight
  /** Until when, on the clock, the first tier may be believed: moved on by the follower of the invalidation log. */
  readonly trust: { readonly until: number }
  readonly wakeChannel: string
  /** Sees to it that other instances are heard; called before anything is read past the first tier. */
  connect(): void
  /** Makes all values of a space, or with '*' of the whole cache, count for nothing, everywhere. */
  beginGeneration(of: string): Promise<void>
  isDraining(): boolean
  /** Why no load may begin any more, if so. */
  closedError(): BreakwaterError | undefined
}
