/** What a cache lends to each of its spaces. */

import type { BreakwaterError, Clock, Events, Logger } from '@breakwater/kernel'
import type { Settled } from './guard/guard.js'
import type { InFlight } from './load/in-flight.js'
import type { CacheDuration } from './load/load-log.js'
import type { MissBudget } from './load/miss-budget.js'
import type { MemoryTier } from './memory/memory-tier.js'
import type { Shards } from './redis/shards.js'

export interface SpaceSurroundings {
  readonly clock: Clock
  readonly logger: Logger | undefined
  /** None without Redis. */
  readonly shards: Shards | undefined
  readonly memory: MemoryTier
  readonly budget: MissBudget
  readonly inFlight: InFlight
  readonly durations: Events<CacheDuration>
  readonly wakeChannel: string
  /** Resolves when every transaction that is open at the call has ended; none if nobody can tell. */
  readonly settled: Settled | undefined
  /** Sees to it that other instances are heard; called before anything is read past the first tier. */
  connect(): void
  /** Makes all values of a space, or with '*' of the whole cache, count for nothing, everywhere. */
  beginGeneration(of: string): Promise<void>
  isDraining(): boolean
  /** Why no load may begin any more, if so. */
  closedError(): BreakwaterError | undefined
}
