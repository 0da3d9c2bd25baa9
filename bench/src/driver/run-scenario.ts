/** Runs one scenario: each contender's fleet is opened and primed, then they are measured in turns, round by round. */

import { randomBytes } from 'node:crypto'
import type { ContenderName } from '../contenders/index.js'
import { describeError } from '../report/describe-error.js'
import type { Round, ScenarioResult } from '../report/results.js'
import type { Scenario } from '../scenarios/scenario.js'
import type { Entrant } from './entrants.js'
import { Fleet, type FleetOutcome } from './fleet.js'
import { inTurns } from './in-turns.js'
import { removeKeys } from './remove-keys.js'

export interface ScenarioRun {
  readonly entrants: readonly Entrant[]
  readonly redisUrl: string
  readonly rounds: number
  readonly measureMs: number
  readonly seed: number
  /** Ends the run, and every process of it, when it is aborted. */
  readonly signal: AbortSignal
  /** Told what begins. */
  onStep(step: string): void
}

/** Resolves to what was measured. A failure on the way is part of the result, unless `signal` was aborted. */
export async function runScenario(scenario: Scenario, run: ScenarioRun): Promise<ScenarioResult> {
  const { name, shows, rate, instances, ttlMs, expectedReduction } = scenario
  const rounds: Round[] = []
  const result = { name, shows, rate, instances, ttlMs, rounds, ...(expectedReduction && { expectedReduction }) }
  const mark = `bench-${randomBytes(4).toString('hex')}`
  const lanes: Lane[] = []
  try {
    for (const entrant of run.entrants) {
      run.onStep(`${name}: starting ${entrant.contender}`)
      const place = { ...entrant, redisUrl: run.redisUrl, namespace: `${mark}-${entrant.contender}` }
      lanes.push({ entrant, fleet: await Fleet.open(scenario, place, run.signal) })
    }
    await inTurns(lanes, run.rounds, async (lane, round) => {
      rounds.push(await runRound(scenario, run, lane, round))
    })
    return result
  } catch (error) {
    run.signal.throwIfAborted()
    return { ...result, failure: describeError(error) }
  } finally {
    await Promise.all(lanes.map(lane => lane.fleet[Symbol.asyncDispose]()))
    // After an interrupt the server may be going as well, and its keys with it.
    await removeKeys(run.redisUrl, mark).catch(error =>
      run.onStep(`${name}: keys not removed: ${describeError(error)}`),
    )
  }
}

interface Lane {
  readonly entrant: Entrant
  readonly fleet: Fleet
}

/** Warms up, then measures the load, and counts exactly what the database had to do for it. */
async function runRound(scenario: Scenario, run: ScenarioRun, { entrant, fleet }: Lane, round: number): Promise<Round> {
  const { seed, measureMs } = run
  const { name, rate, warmUpMs } = scenario
  const { contender, counter } = entrant
  const where = `${name}: round ${round} of ${run.rounds}, ${contender}`
  run.onStep(`${where}, warming up`)
  await fleet.load({ seed, purpose: `${name}/${round}/warm-up`, rate, durationMs: warmUpMs })
  run.onStep(`${where}, measuring`)
  const { result, transactions } = await counter.during(
    () => fleet.flushStatistics(),
    () => fleet.load({ seed, purpose: `${name}/${round}`, rate, durationMs: measureMs }),
  )
  return toRound(contender, round, transactions, result)
}

function toRound(contender: ContenderName, round: number, databaseQueries: number, outcome: FleetOutcome): Round {
  const { latency, lateness, elapsedMs, cpuMs, ...counts } = outcome
  const seconds = elapsedMs / 1_000
  return {
    contender,
    round,
    seconds,
    databaseQueries,
    databaseQps: databaseQueries / seconds,
    requestsPerSecond: counts.answered / seconds,
    ...counts,
    cpuMs,
    latencyMs: latency.percentiles(),
    latenessMs: lateness.percentiles(),
    latencyHistogram: latency.encode(),
  }
}
