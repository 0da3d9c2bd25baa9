/** A whole run: the servers, a database for each contender, one scenario after the other, and what was found. */

import { type PostgresServer, startPostgres, startRedis } from '@breakwater/testkit'
import { USUAL } from '../contenders/index.js'
import { citiesSnapshot } from '../data/template.js'
import { describeEnvironment } from '../report/environment.js'
import type { Results } from '../report/results.js'
import { summarize } from '../report/summary.js'
import type { Scenario } from '../scenarios/scenario.js'
import { Entrants } from './entrants.js'
import { runScenario } from './run-scenario.js'

export interface BenchOptions {
  readonly scenarios: readonly Scenario[]
  /** Whether pools are compared too, after the scenarios; then caches are, then the guard is measured, then put through its faults. */
  readonly pool: boolean
  readonly fleet: boolean
  readonly fleetSim: boolean
  readonly sizing: boolean
  readonly guard: boolean
  readonly cache: boolean
  readonly guardSoak: boolean
  readonly rolling: boolean
  /** Longer windows and more of them. */
  readonly full: boolean
  readonly seed: number
  /** Ends the run and everything it has started. */
  readonly signal: AbortSignal
  onStep(step: string): void
}

const ROUNDS = { quick: 3, full: 5 }

/** Resolves to the results; rejects with the signal's reason if that was aborted. Nothing that it started is left. */
export async function runBench(options: BenchOptions): Promise<Results> {
  const { scenarios, full, seed, signal, onStep } = options
  const started = new Date()
  onStep('starting Postgres (the first time, 135,233 rows are loaded and kept)')
  await using postgres = await startPostgres({ snapshot: citiesSnapshot })
  signal.throwIfAborted()
  const compared = scenarios.length > 0 ? await runScenarios(options, postgres) : { redis: null, found: [] }
  const run = { full, seed, signal, onStep }
  // Each comes with the peers that it compares, so only what was asked for is taken in.
  const pool = options.pool ? await (await import('../pool/run-pool.js')).runPool(run, postgres) : undefined
  const fleet = options.fleet ? await (await import('../fleet/run-fleet.js')).runFleet(run) : undefined
  const simulatedFleets = options.fleetSim
    ? await (await import('../fleet/simulate.js')).simulateFleets(run)
    : undefined
  const sizing = options.sizing ? await (await import('../sizing/run-sizing.js')).runSizing(run, postgres) : undefined
  const cache = options.cache ? await (await import('../cache/run-cache.js')).runCache(run) : undefined
  const guard = options.guard ? await (await import('../guard/run-guard.js')).runGuard(run, postgres) : undefined
  const guardSoak = options.guardSoak
    ? await (await import('../guard-soak/run-soak.js')).runSoak(run, postgres)
    : undefined
  const rolling = options.rolling
    ? await (await import('../rolling/run-rolling.js')).runRolling(run, postgres)
    : undefined
  return {
    startedAt: started.toISOString(),
    seconds: (Date.now() - started.getTime()) / 1_000,
    seed,
    full,
    environment: await describeEnvironment({ postgres: postgres.version, redis: compared.redis }),
    scenarios: compared.found,
    ...(pool && { pool }),
    ...(fleet && { fleet }),
    ...(simulatedFleets && { simulatedFleets }),
    ...(sizing && { sizing }),
    ...(cache && { cache }),
    ...(guard && { guard }),
    ...(guardSoak && { guardSoak }),
    ...(rolling && { rolling }),
  }
}

interface Compared {
  /** The version of Redis. */
  readonly redis: string
  readonly found: Results['scenarios']
}

async function runScenarios(options: BenchOptions, postgres: PostgresServer): Promise<Compared> {
  const { scenarios, full, seed, signal, onStep } = options
  onStep('starting Redis')
  await using redis = await startRedis()
  signal.throwIfAborted()
  onStep('copying the rows into a database for each contender')
  await using entrants = await Entrants.open(postgres, [
    ...new Set(scenarios.flatMap(each => each.contenders ?? USUAL)),
  ])

  const size = full ? 'full' : 'quick'
  const found: Results['scenarios'][number][] = []
  for (const scenario of scenarios) {
    const result = await runScenario(scenario, {
      entrants: entrants.all.filter(each => (scenario.contenders ?? USUAL).includes(each.contender)),
      redisUrl: redis.url,
      rounds: ROUNDS[size],
      measureMs: scenario.measureMs[size],
      seed,
      signal,
      onStep,
    })
    found.push({ ...result, summary: summarize(result.rounds) })
  }
  return { redis: redis.version, found }
}
