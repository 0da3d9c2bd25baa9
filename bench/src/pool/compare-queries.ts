/** Measures how many reads by primary key a pool carries, with one caller up to a hundred times its connections. */

import { inTurns } from '../driver/in-turns.js'
import type { ClosedOutcome } from '../load/closed-loop.js'
import { Latencies } from '../load/latency.js'
import { allContenders, limits } from './contenders/index.js'
import { Distance } from './distance.js'
import { type Lane, Lanes } from './lanes.js'
import type { PoolRun } from './pool-run.js'
import type { QueryRound, Setting } from './results.js'
import { nameOf } from './summary.js'

const CALLERS = [1, 10, 100, 1_000]
/** Some of the queries take 50 ms: how do the others fare? */
const MIXED = { callers: 100, slowShares: [0.01, 0.05] }
/** Where the server is further away, and where a pool has few connections: those that share, and who does not. */
const FAR = {
  contenders: ['pg.Pool', 'breakwater', 'postgres.js'] as const,
  callers: { quick: [100], full: CALLERS },
  settings: [
    { connections: 2 },
    { addedMs: 1 },
    { addedMs: 1, connections: 2 },
    { addedMs: 5 },
    { addedMs: 5, connections: 2 },
  ] as readonly Setting[],
}
/** Many short rounds rather than a few long ones: the machine's other work comes and goes, and the median leaves it out. */
const SIZE = { quick: { rounds: 5, durationMs: 400 }, full: { rounds: 11, durationMs: 1_500 } }
/** Before each window, so that connections that were closed meanwhile for being idle are open again. */
const RUN_IN_MS = 100

/** Adds to `found` as it measures. */
export async function compareQueries(run: PoolRun, postgresUrl: string, found: QueryRound[]): Promise<void> {
  {
    await using lanes = await Lanes.open([...allContenders, ...limits], postgresUrl, run.signal)
    for (const callers of CALLERS) await compare(run, lanes.all, callers, {}, found)
    const pools = lanes.all.filter(({ contender }) => !limits.includes(contender))
    for (const slowShare of MIXED.slowShares) await compare(run, pools, MIXED.callers, { slowShare }, found)
  }
  for (const setting of FAR.settings) {
    await using distance = await Distance.open(postgresUrl, setting.addedMs, run.signal)
    await using lanes = await Lanes.open(FAR.contenders, distance.url, run.signal, setting.connections)
    for (const callers of FAR.callers[run.full ? 'full' : 'quick'])
      await compare(run, lanes.all, callers, setting, found)
  }
}

async function compare(
  run: PoolRun,
  all: readonly Lane[],
  callers: number,
  setting: Setting,
  found: QueryRound[],
): Promise<void> {
  const { seed } = run
  const { rounds, durationMs } = SIZE[run.full ? 'full' : 'quick']
  const { slowShare } = setting
  const name = nameOf(setting)
  const what = `pool: queries by ${callers} ${callers === 1 ? 'caller' : 'callers'}${name}`
  for (const { contender, instance } of all) {
    run.onStep(`${what}, warming up, ${contender}`)
    await instance.call('warmUp', { seed, callers })
  }
  await inTurns(all, rounds, async ({ contender, instance }, round) => {
    run.onStep(`${what}, round ${round} of ${rounds}, ${contender}`)
    const purpose = `${callers}${name}/${round}`
    await instance.call('queries', { seed, purpose: `${purpose}/run-in`, callers, slowShare, durationMs: RUN_IN_MS })
    const outcome = await instance.call('queries', { seed, purpose, callers, slowShare, durationMs })
    found.push({ contender, round, callers, setting, ...figures(outcome) })
  })
}

function figures(outcome: ClosedOutcome): Omit<QueryRound, 'contender' | 'round' | 'callers' | 'setting'> {
  const { answered, wrong, errors, errorMessages, elapsedMs, cpuMs, latency } = outcome
  return {
    answered,
    perSecond: (answered * 1_000) / elapsedMs,
    cpuUs: (cpuMs * 1_000) / answered,
    latencyMs: Latencies.decode(latency).percentiles(),
    latencyHistogram: latency,
    wrong,
    errors,
    errorMessages,
  }
}
