/** What a space asks of a guard, and what it hands it. */

import type { Clock, Logger } from '@breakwater/kernel'
import type { CacheKey, KeyLayout } from '../keys.js'
import type { RedisClient } from '../redis/client.js'

export interface GuardSurroundings {
  readonly space: string
  /** None: the guard lives in this process alone. */
  readonly redis: RedisClient | undefined
  readonly layout: KeyLayout
  readonly clock: Clock
  readonly logger: Logger | undefined
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
