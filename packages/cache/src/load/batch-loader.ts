/** Turns loads of single keys that come up in one turn of the event loop into one call of `loadMany`. */

import { BreakwaterError } from '@breakwater/kernel'
import { type CacheKey, encodeKey } from '../keys.js'
import type { BatchLoader } from '../options.js'
import type { SpaceStats } from '../space-stats.js'
import type { Loaded } from './loading.js'
import { type LoadBounds, type LoadOwner, runLoad } from './run-load.js'
import { TurnBatch } from './turn-batch.js'

interface Wanted<K> {
  readonly id: K
  readonly by: LoadOwner
}

/** Returns a loader of one key; what `loadMany` leaves out does not exist. At most `most` keys go into one call. */
export function batched<V, K extends CacheKey>(
  loadMany: BatchLoader<V, K>,
  most: number,
  bounds: LoadBounds,
  stats: SpaceStats,
): (id: K, by: LoadOwner) => Promise<Loaded<V>> {
  const batch = new TurnBatch<Wanted<K>, Loaded<V>>(most, async wanted => {
    const ids = wanted.map(({ id }) => id)
    const owners = wanted.map(({ by }) => by)
    let loadMs = 0
    const found = await runLoad(bounds, owners, async signal => {
      stats.loads++
      const startedAt = bounds.clock.now()
      const map = await loadMany(ids, { signal })
      loadMs = bounds.clock.now() - startedAt
      return map
    })
    if (!(found instanceof Map)) {
      throw new BreakwaterError(
        'usage',
        'CACHE_VALUE_INVALID',
        `space "${bounds.space}": loadMany must resolve to a Map from id to value`,
      )
    }
    // By canonical text: a driver may hand 42 back as '42'.
    const byKey = new Map([...found].map(([id, value]) => [encodeKey(id), value]))
    return ids.map(id => {
      const key = encodeKey(id)
      // What is left out does not exist; what is there and undefined is a mistake, and is told so when it is encoded.
      const value = byKey.has(key) ? (byKey.get(key) as V | null) : null
      return { value, loadMs, ttlMs: undefined, tags: [] }
    })
  })
  return (id, by) => batch.add({ id, by })
}
