/** A whole run: the servers, a database for each contender, one scenario after the other, and what was found. */

import { startPostgres, startRedis } from '@breakwater/testkit'
import { contenderNames } from '../contenders/index.js'
import { ensureTemplate, TEMPLATE } from '../data/template.js'
import { describeEnvironment } from '../report/environment.js'
import type { Results } from '../report/results.js'
import { summarize } from '../report/summary.js'
import type { Scenario } from '../scenarios/scenario.js'
import { Entrants } from './entrants.js'
import { runScenario } from './run-scenario.js'

export interface BenchOptions {
  readonly scenarios: readonly Scenario[]
  /** Longer windows and more of them. */
  readonly full: boolean
  readonly seed: number
  /** Ends the run and everything it has started. */
  readonly signal: AbortSignal
  onStep(step: string): void
}

const ROUNDS = { quick: 3, full: 5 }

/** Resolves to the results; rejects with the signal's reason if that was aborted. Nothing that it started is left. */
export async function runBench({ scenarios, full, seed, signal, onStep }: BenchOptions): Promise<Results> {
  const started = new Date()
  onStep('starting Postgres (the first time, 135,233 rows are loaded and kept)')
  await using postgres = await startPostgres({
    snapshot: { name: TEMPLATE, prepare: server => ensureTemplate(server.url) },
  })
  signal.throwIfAborted()
  onStep('starting Redis')
  await using redis = await startRedis()
  signal.throwIfAborted()
  onStep('copying the rows into a database for each contender')
  await using entrants = await Entrants.open(postgres, contenderNames)

  const size = full ? 'full' : 'quick'
  const found: Results['scenarios'][number][] = []
  for (const scenario of scenarios) {
    const result = await runScenario(scenario, {
      entrants: entrants.all,
      redisUrl: redis.url,
      rounds: ROUNDS[size],
      measureMs: scenario.measureMs[size],
      seed,
      signal,
      onStep,
    })
    found.push({ ...result, summary: summarize(result.rounds) })
  }
  return {
    startedAt: started.toISOString(),
    seconds: (Date.now() - started.getTime()) / 1_000,
    seed,
    full,
    environment: await describeEnvironment({ postgres: postgres.version, redis: redis.version }),
    scenarios: found,
  }
}
