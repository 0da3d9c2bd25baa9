/** Measures what many callers of one key that nobody has cost its source: in one process, in four, and when it fails. */

import { inTurns } from '../driver/in-turns.js'
import type { CacheRun } from './cache-run.js'
import type { RedisAddress } from './contenders/contender.js'
import { fullestTiers } from './contenders/index.js'
import { type CacheLane, CacheLanes } from './lanes.js'
import type { Source } from './protocol.js'
import type { CacheRound } from './results.js'

const SIZE = { quick: { rounds: 3 }, full: { rounds: 9 } }
const LOAD_MS = 50

export const STORMS = {
  one: '1,000 callers of a cold key, 1 process',
  four: '1,000 callers of a cold key, 4 processes',
  failing: '100 callers, the loader fails',
} as const

/** Adds to `found` as it measures. */
export async function compareStorms(run: CacheRun, redis: RedisAddress, found: CacheRound[]): Promise<void> {
  await storms(run, redis, found, STORMS.one, 1, 1_000, { loadMs: LOAD_MS })
  await storms(run, redis, found, STORMS.four, 4, 250, { loadMs: LOAD_MS })
  await storms(run, redis, found, STORMS.failing, 1, 100, { loadMs: LOAD_MS, failing: true })
}

async function storms(
  run: CacheRun,
  redis: RedisAddress,
  found: CacheRound[],
  part: string,
  processes: number,
  callers: number,
  source: Source,
): Promise<void> {
  const { rounds } = SIZE[run.full ? 'full' : 'quick']
  await using lanes = await CacheLanes.open(fullestTiers(), redis, { processes, source }, run.signal)
  const storm = async ({ contender, instances }: CacheLane, round: number): Promise<CacheRound['figures']> => {
    const key = `${part}-${contender}-${round}`.replace(/\W+/g, '-')
    const outcomes = await Promise.all(instances.map(instance => instance.call('storm', { key, callers })))
    return {
      loads: outcomes.reduce((sum, { loads }) => sum + loads, 0),
      ms: Math.max(...outcomes.map(({ ms }) => ms)),
      failed: outcomes.reduce((sum, { failed }) => sum + failed, 0),
    }
  }
  run.onStep(`cache: ${part}, warming up`)
  for (const lane of lanes.all) await storm(lane, 0)
  await inTurns(lanes.all, rounds, async (lane, round) => {
    run.onStep(`cache: ${part}, round ${round} of ${rounds}, ${lane.contender}`)
    found.push({ part, contender: lane.contender, round, figures: await storm(lane, round) })
  })
}
