/** Measures the guard: what a check costs, how often it errs, and what it takes to fill it from a million rows. */

import type { PostgresServer } from '@breakwater/testkit'
import { startRedis } from '@breakwater/testkit'
import { sourceProgram } from '../process/program.js'
import { RemoteProcess } from '../process/remote-process.js'
import { describeError } from '../report/describe-error.js'
import { spread } from '../report/spread.js'
import { atLeast, atMost, type Target } from '../report/target.js'
import { type AttackOutcome, type FillOutcome, type GuardCalls, STEP } from './protocol.js'
import type { GuardResults, GuardRound } from './results.js'

const PROGRAM = new URL('./guard-process.ts', import.meta.url)
const ROWS = 1_000_000
const ROUNDS = { quick: 3, full: 5 }
const TARGET_RATE = 0.01
/** Of each load: on ids that exist, then on ids that do not. */
const ATTACK_MS = 2_000
const MEGABYTE = 1024 * 1024

export interface GuardRun {
  readonly full: boolean
  readonly signal: AbortSignal
  onStep(step: string): void
}

/** Resolves to what was measured. A failure on the way is part of the result, unless the signal was aborted. */
export async function runGuard(run: GuardRun, postgres: PostgresServer): Promise<GuardResults> {
  const rounds: GuardRound[] = []
  const fills: FillOutcome[] = []
  const attacks: AttackOutcome[] = []
  let failure: string | undefined
  try {
    await measureRates(run, rounds)
    await measureFills(run, postgres, fills, attacks)
  } catch (error) {
    run.signal.throwIfAborted()
    failure = describeError(error)
  }
  const [build, fetch] = fills
  const summary = summarize(rounds)
  const targets = targetsOf(summary, build, attacks)
  return { rounds, build, fetch, attacks, summary, targets, ...(failure !== undefined && { failure }) }
}

async function measureRates({ full, signal, onStep }: GuardRun, rounds: GuardRound[]): Promise<void> {
  const count = ROUNDS[full ? 'full' : 'quick']
  const measuring = new RemoteProcess<GuardCalls>(await sourceProgram(PROGRAM), 'guard, rates', signal)
  try {
    onStep('guard: checks, warming up')
    await measuring.call('rates')
    for (let round = 1; round <= count; round++) {
      onStep(`guard: checks, round ${round} of ${count}`)
      rounds.push({ round, ...(await measuring.call('rates')) })
    }
  } finally {
    await measuring.end()
  }
}

/** The first process builds, the second one fetches, and is attacked then. */
async function measureFills(
  { full, signal, onStep }: GuardRun,
  postgres: PostgresServer,
  fills: FillOutcome[],
  attacks: AttackOutcome[],
): Promise<void> {
  onStep('guard: making a million rows')
  await using database = await postgres.createDatabase()
  await database.query('create table guarded (id bigint primary key)')
  await database.query(`insert into guarded select ${STEP} * n from generate_series(1, ${ROWS}) n`)
  await database.query('vacuum (freeze, analyze) guarded')
  await using redis = await startRedis({ own: true })
  const processes: RemoteProcess<GuardCalls>[] = []
  try {
    for (const what of ['building', 'fetching']) {
      onStep(`guard: ${what} a filter of a million keys`)
      const filling = new RemoteProcess<GuardCalls>(await sourceProgram(PROGRAM), `guard, ${what}`, signal)
      processes.push(filling)
      await filling.call('open', { postgresUrl: database.url, redisUrl: redis.url, namespace: 'bench' })
      fills.push(await filling.call('fill'))
    }
    const count = ROUNDS[full ? 'full' : 'quick']
    for (let round = 1; round <= count; round++) {
      onStep(`guard: attack, round ${round} of ${count}`)
      attacks.push(await (processes.at(-1) as RemoteProcess<GuardCalls>).call('attack', ATTACK_MS))
    }
  } finally {
    await Promise.all(processes.map(each => each.end()))
  }
}

function summarize(rounds: readonly GuardRound[]): GuardResults['summary'] {
  const of = (value: (round: GuardRound) => number) => spread(rounds.map(value))
  return {
    absent: of(({ guard }) => guard.absent),
    existing: of(({ guard }) => guard.existing),
    adds: of(({ guard }) => guard.adds),
    ratio: of(({ guard, stock }) => guard.absent / stock.absent),
    errorRate: of(({ guard }) => guard.errorRate),
  }
}

function targetsOf(
  { absent, errorRate }: GuardResults['summary'],
  build: FillOutcome | undefined,
  attacks: readonly AttackOutcome[],
): Target[] {
  const ratio = attacks.map(each => each.absent / each.existing)
  return [
    atLeast('checks a second a core, million', 2, absent.median / 1e6),
    atMost('error rate off its target, per cent of it', 10, 100 * Math.abs(errorRate.median / TARGET_RATE - 1)),
    ...(build === undefined
      ? []
      : [
          atMost('bits a key', 10, build.bitsPerKey),
          atMost('MB above idle while a million rows are read', 64, build.memoryBytes / MEGABYTE),
          atMost('longest block of the event loop meanwhile, ms', 20, build.blockedMs),
        ]),
    ...(attacks.length === 0
      ? []
      : [
          atLeast(
            'requests under attack, times the same load on ids that exist',
            0.9,
            spread(ratio).median,
            spread(ratio),
          ),
          atMost(
            'database queries a second under attack, beyond what the error rate lets through',
            5,
            Math.max(...attacks.map(each => each.beyondErrorRateQps)),
          ),
          // However many ids were asked for: a bound on each would let it grow with them.
          atMost(
            'MB that the process keeps after an attack',
            1,
            Math.max(...attacks.map(each => each.heapGrowthBytes)) / MEGABYTE,
          ),
        ]),
  ]
}
