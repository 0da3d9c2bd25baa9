/** What a space asks of a guard, and what it hands it. */

import type { Clock, Logger } from '@breakwater/kernel'
import type { CacheKey } from '../keys.js'
import type { Shard } from '../redis/shards.js'

export interface GuardSurroundings {
  readonly space: string
  /** Where its bits lie; none: the guard lives in this process alone. */
  readonly shard: Shard | undefined
  readonly clock: Clock
  readonly logger: Logger | undefined
  /** Removes what the cache knows of a key, everywhere, and keeps what is being loaded from being kept; as `delete` does. */
  forget(key: string): Promise<void>
}

/** A guard as declared with a space's options; it is bound once, to that space. */
export interface Guard {
  bind(surroundings: GuardSurroundings): BoundGuard
}

export interface BoundGuard {
  /** False only if the key certainly does not exist; a promise where that takes a look at Redis. Never rejects. */
  mayContain(key: string): boolean | Promise<boolean>
  /** Records a key before it comes to exist. Resolves when every instance will let it through. */
  add(id: CacheKey): Promise<void>
  /** Fills or fetches the filter; until then everything may exist. */
  init(signal: AbortSignal): Promise<void>
  dispose(): void
  readonly state: 'building' | 'ready' | 'suspect'
}
