/** Measures what an acquire and a release cost: of an idle connection, and where many callers wait for few dummies. */

import { inTurns } from '../driver/in-turns.js'
import type { PoolContenderName } from './contenders/index.js'
import { Lanes } from './lanes.js'
import type { PoolRun } from './pool-run.js'
import type { LeaseRound } from './results.js'

/** postgres.js lends no connections. */
const CONTENDERS: readonly PoolContenderName[] = ['pg.Pool', 'breakwater', 'generic-pool', 'tarn']
/** Callers of a pool of 10. */
const WAITING = [100, 1_000]

const WARM_UP_CPU_MS = 1_000
const SIZE = { quick: { rounds: 5, cpuMs: 200 }, full: { rounds: 15, cpuMs: 500 } }

/** Adds to `found` as it measures. */
export async function compareLeases(run: PoolRun, postgresUrl: string, found: LeaseRound[]): Promise<void> {
  {
    await using connections = await Lanes.open(CONTENDERS, postgresUrl, run.signal)
    await compare(run, connections, 1, found)
  }
  await using dummies = await Lanes.open(CONTENDERS, undefined, run.signal)
  for (const callers of WAITING) await compare(run, dummies, callers, found)
}

async function compare(run: PoolRun, { all }: Lanes, callers: number, found: LeaseRound[]): Promise<void> {
  const { rounds, cpuMs } = SIZE[run.full ? 'full' : 'quick']
  const what = callers === 1 ? 'connect and release' : `acquire and release by ${callers} callers`
  run.onStep(`pool: ${what}, warming up`)
  for (const { instance } of all) await instance.call('leases', { callers, cpuMs: WARM_UP_CPU_MS })
  await inTurns(all, rounds, async ({ contender, instance }, round) => {
    run.onStep(`pool: ${what}, round ${round} of ${rounds}, ${contender}`)
    found.push({ contender, round, callers, ...(await instance.call('leases', { callers, cpuMs })) })
  })
}
