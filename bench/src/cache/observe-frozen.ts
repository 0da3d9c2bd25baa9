/** Observes what callers get while Redis is frozen: it takes connections and bytes, and says nothing. */

import { startRedis } from '@breakwater/testkit'
import type { CacheRun } from './cache-run.js'
import { fullestTiers } from './contenders/index.js'
import { CacheLanes } from './lanes.js'
import type { FrozenRedis } from './results.js'

/** No caller is observed for longer. */
const CAP_MS = 1_000
const LOAD_MS = 5

/** Adds to `found` as it goes on. */
export async function observeFrozen(run: CacheRun, found: FrozenRedis[]): Promise<void> {
  await using redis = await startRedis({ own: true })
  await using lanes = await CacheLanes.open(fullestTiers(), redis, { source: { loadMs: LOAD_MS } }, run.signal)
  run.onStep('cache: Redis frozen')
  await Promise.all(
    lanes.all.map(async ({ contender, instances: [instance] }) => {
      const name = contender.replace(/\W+/g, '-')
      for (let i = 0; i < 3; i++) await instance?.call('read', { key: `${name}-warm`, capMs: CAP_MS })
    }),
  )
  redis.hang()
  // One after the other, so that nobody's wait is lengthened by another's work.
  for (const { contender, instances } of lanes.all) {
    const [instance] = instances
    if (instance === undefined) continue
    run.onStep(`cache: Redis frozen, ${contender}`)
    const name = contender.replace(/\W+/g, '-')
    const read = (which: string) => instance.call('read', { key: `${name}-${which}`, capMs: CAP_MS })
    found.push({ contender, warm: await read('warm'), cold: await read('cold'), next: await read('next') })
  }
  redis.resume()
}
