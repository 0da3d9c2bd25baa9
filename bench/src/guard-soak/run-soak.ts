/**
 * Four processes that insert, roll back, delete and ask, against one guard, while everything is done to it that it must
 * survive. Every answer is compared with the table.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresServer } from '@breakwater/testkit'
import { describeError } from '../report/describe-error.js'
import type { SoakCounts } from './protocol.js'
import { checksOf, type SoakFaultResult, type SoakResults } from './results.js'
import { type SoakFault, soakFaults } from './soak-faults.js'
import { SoakFleet } from './soak-fleet.js'
import { SoakServers } from './soak-servers.js'
import { CREATE_ITEMS } from './table.js'

const INSTANCES = 4
const ROWS = 20_000
const ROUNDS = { quick: 1, full: 5 }
/** Load without a fault, before the first and after each. */
const CALM_MS = { quick: 2_000, full: 5_000 }
/** The least number of answers: the load goes on until there are as many. */
const LEAST_CHECKS = 1_000_000

export interface SoakRun {
  readonly full: boolean
  readonly seed: number
  readonly signal: AbortSignal
  onStep(step: string): void
}

/** Resolves to what was found. A failure on the way is part of the result, unless the signal was aborted. */
export async function runSoak(run: SoakRun, postgres: PostgresServer): Promise<SoakResults> {
  const startedAt = performance.now()
  const size = run.full ? 'full' : 'quick'
  const faults: SoakFaultResult[] = []
  let failure: string | undefined
  run.onStep('guard-soak: starting a Redis and its replica')
  await using database = await postgres.createDatabase()
  await using servers = await SoakServers.start(INSTANCES)
  await database.query(CREATE_ITEMS)
  await database.query(`insert into items select 2 * n from generate_series(1, ${ROWS}) n`)
  run.onStep('guard-soak: starting the instances')
  await using fleet = await SoakFleet.open(
    INSTANCES,
    (instance, place) => ({
      instance,
      postgresUrl: database.url,
      redisUrl: servers.urlOf(place),
      namespace: 'soak',
      seed: run.seed,
    }),
    run.signal,
  )
  try {
    await sleep(CALM_MS[size])
    for (let round = 1; round <= ROUNDS[size]; round++) {
      for (const fault of soakFaults) {
        run.onStep(`guard-soak: round ${round} of ${ROUNDS[size]}, ${fault.name}`)
        faults.push(await suffer(fault, round, servers, fleet))
        await sleep(CALM_MS[size])
      }
    }
    run.onStep('guard-soak: asking on')
    while (checksOf((await fleet.totals()).counts) < LEAST_CHECKS) await sleep(500)
  } catch (error) {
    run.signal.throwIfAborted()
    failure = describeError(error)
  }
  const totals = await fleet.totals()
  const seconds = (performance.now() - startedAt) / 1_000
  return { ...totals, faults, seconds, ...(failure !== undefined && { failure }) }
}

async function suffer(
  fault: SoakFault,
  round: number,
  servers: SoakServers,
  fleet: SoakFleet,
): Promise<SoakFaultResult> {
  const before = await fleet.totals()
  const openBefore = (await fleet.states()).map(({ guard }) => guard.openMs)
  const startedAt = performance.now()
  await fault.inject(servers, fleet)
  await fleet.recovered()
  const recoveredMs = performance.now() - startedAt
  // An instance that was started meanwhile has its own count.
  const opened = (await fleet.states()).map(({ guard }, place) => {
    const was = openBefore[place] ?? 0
    return guard.openMs >= was ? guard.openMs - was : guard.openMs
  })
  const after = await fleet.totals()
  const grown = (of: (counts: SoakCounts) => number): number => of(after.counts) - of(before.counts)
  return {
    name: fault.name,
    round,
    recoveredMs,
    openMs: Math.max(...opened),
    checks: grown(checksOf),
    falseNegatives: grown(counts => counts.falseNegatives),
  }
}
