/** What a comparison of caches is given. */

export type { PoolRun as CacheRun } from '../pool/pool-run.js'
