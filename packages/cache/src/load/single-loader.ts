/** A loader of one key, as a load: bounded, counted, and given its context. */

import type { CacheKey } from '../keys.js'
import type { Loader } from '../options.js'
import type { SpaceStats } from '../space-stats.js'
import type { LoadRequest } from './load-path.js'
import { Loading } from './loading.js'
import { type LoadBounds, runLoad } from './run-load.js'

export function singly<V, K extends CacheKey>(
  loader: Loader<V, K>,
  id: K,
  bounds: LoadBounds,
  stats: SpaceStats,
): LoadRequest<V, K>['load'] {
  const { space, clock } = bounds
  return (owner, stale) =>
    runLoad(bounds, [owner], async signal => {
      stats.loads++
      const loading = new Loading<V>(space, signal, stale)
      const startedAt = clock.now()
      const value = await loader(id, loading)
      return loading.loaded(value, clock.now() - startedAt)
    })
}
