/** Compares caches: hits, storms, a frozen Redis, stale reads. */

import { startRedis } from '@breakwater/testkit'
import { buildPackage } from '../process/build-package.js'
import { describeError } from '../report/describe-error.js'
import { auditStale } from './audit-stale.js'
import type { CacheRun } from './cache-run.js'
import { compareHits } from './compare-hits.js'
import { compareStorms } from './compare-storms.js'
import { observeFrozen } from './observe-frozen.js'
import type { CacheResults, CacheRound, FrozenRedis, StaleAudit } from './results.js'
import { summarizeCaches } from './summary.js'
import { cacheTargets } from './targets.js'

/** Resolves to what was measured. A failure on the way is part of the result, unless the signal was aborted. */
export async function runCache(run: CacheRun): Promise<CacheResults> {
  const rounds: CacheRound[] = []
  const frozen: FrozenRedis[] = []
  const audits: StaleAudit[] = []
  let failure: string | undefined
  try {
    run.onStep('cache: building the package')
    await buildPackage('cache', run.signal)
    await using server = await startRedis({ own: true })
    const { host, port, url } = server
    const redis = { host, port, url }
    await compareHits(run, redis, rounds)
    await compareStorms(run, redis, rounds)
    await observeFrozen(run, frozen)
    await auditStale(run, redis, audits)
  } catch (error) {
    run.signal.throwIfAborted()
    failure = describeError(error)
  }
  const summary = summarizeCaches(rounds)
  const targets = cacheTargets({ summary, frozen, audits })
  return { rounds, summary, frozen, audits, targets, ...(failure !== undefined && { failure }) }
}
