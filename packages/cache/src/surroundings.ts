/** What a cache lends to each of its spaces. */

import type { BreakwaterError, Clock, Events, Logger } from '@breakwater/kernel'
import type { Settled } from './guard/guard.js'
import type { InFlight } from './load/in-flight.js'
import type { CacheDuration } from './load/load-log.js'
import type { MissBudget } from './load/miss-budget.js'
import type { MemoryTier } from './memory/memory-tier.js'
import type { Acknowledgement } from './redis/client.js'
import type { Shards } from './redis/shards.js'
import type { TagClock } from './tags/tag-clock.js'

export interface SpaceSurroundings {
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger | undefined
  /** None without Redis. */
  readonly shards: Shards | undefined
  readonly memory: MemoryTier
  readonly budget: MissBudget
  readonly inFlight: InFlight
  readonly durations: Events<CacheDuration>
  /** When each tag was last deleted, as far as was heard. */
  readonly tags: TagClock
  /** For how long what is kept may be served while other instances cannot be heard. */
  readonly maxLagMs: number
  readonly wakeChannel: string
  /** Resolves when every transaction that is open at the call has ended; none if nobody can tell. */
  readonly settled: Settled | undefined
  /** Sees to it that other instances are heard; called before anything is read past the first tier. */
  connect(): void
  /** Removes all values of a space, here and everywhere. */
  clear(space: string): Promise<Acknowledgement>
  isDraining(): boolean
  /** Why no load may begin any more, if so. */
  closedError(): BreakwaterError | undefined
}
