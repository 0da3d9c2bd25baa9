/** Compares pools: what a lease costs, how many queries they carry, and what they do when the server or a query fails. */

import type { PostgresServer } from '@breakwater/testkit'
import { TEMPLATE } from '../data/template.js'
import { buildPackage } from '../process/build-package.js'
import { describeError } from '../report/describe-error.js'
import { compareLeases } from './compare-leases.js'
import { compareQueries } from './compare-queries.js'
import { observeFaults } from './observe-faults.js'
import type { PoolRun } from './pool-run.js'
import type { Faults, LeaseRound, PoolResults, QueryRound } from './results.js'
import { summarizeLeases, summarizeQueries } from './summary.js'
import { targetsOf } from './targets.js'

/**
 * Resolves to what was measured. A failure on the way is part of the result, unless the signal was aborted.
 * @param postgres Has the template; what is killed and started again is another server.
 */
export async function runPool(run: PoolRun, postgres: PostgresServer): Promise<PoolResults> {
  const leases: LeaseRound[] = []
  const queries: QueryRound[] = []
  const faults: Faults[] = []
  let failure: string | undefined
  try {
    run.onStep('pool: building the package')
    await buildPackage('pool', run.signal)
    await using database = await postgres.createDatabase({ template: TEMPLATE })
    await compareLeases(run, database.url, leases)
    await compareQueries(run, database.url, queries)
    await observeFaults(run, faults)
  } catch (error) {
    run.signal.throwIfAborted()
    failure = describeError(error)
  }
  const summaries = { leases: summarizeLeases(leases), queries: summarizeQueries(queries) }
  return {
    leases: { rounds: leases, summary: summaries.leases },
    queries: { rounds: queries, summary: summaries.queries },
    faults,
    targets: targetsOf({ ...summaries, faults }),
    ...(failure !== undefined && { failure }),
  }
}
