/** Turns loads of single keys that come up in one turn of the event loop into one call of `loadMany`. */

import { BreakwaterError } from '@breakwater/kernel'
import { type CacheKey, encodeKey } from '../keys.js'
import type { BatchLoader, LoaderContext } from '../options.js'
import type { SpaceStats } from '../space-stats.js'
import { type LoadBounds, runLoad } from './run-load.js'
import { TurnBatch } from './turn-batch.js'

/** Returns a loader of one key; what `loadMany` leaves out does not exist. At most `most` keys go into one call. */
export function batched<V, K extends CacheKey>(
  loadMany: BatchLoader<V, K>,
  most: number,
  bounds: LoadBounds,
  stats: SpaceStats,
): (id: K) => Promise<V | null> {
  const batch = new TurnBatch<K, V | null>(most, async ids => {
    const found = await runLoad(bounds, async signal => {
      stats.loads++
      return loadMany(ids, { signal } satisfies Pick<LoaderContext<V>, 'signal'>)
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
    return ids.map(id => byKey.get(encodeKey(id)) ?? null)
  })
  return id => batch.add(id)
}
