/** Measures reads of what is there: in memory, in Redis one by one and many at once; and what an entry in memory takes. */

import { inTurns } from '../driver/in-turns.js'
import type { CacheRun } from './cache-run.js'
import type { RedisAddress, Tiers } from './contenders/contender.js'
import { type CacheContenderName, contendersWith, OURS } from './contenders/index.js'
import { type CacheLane, CacheLanes } from './lanes.js'
import type { HitOrder } from './protocol.js'
import type { CacheRound } from './results.js'

const SIZE = { quick: { rounds: 3, ms: 300 }, full: { rounds: 11, ms: 1_000 } }
/** After which even heavy libraries run as fast as they ever will. Source: found when the peers were measured. */
const WARM_UP_MS = 1_000
const MEMORY_ENTRIES = 10_000

type Figures = CacheRound['figures']

/** The first contender of each part is what the others are compared with. */
export const PARTS = {
  memory: 'hit in memory, awaited',
  peek: 'hit in memory, without a promise',
  held: 'entry of 200 B in memory',
  redis1: 'hit in Redis, 200 B, 1 caller',
  redis64: 'hit in Redis, 200 B, 64 callers',
  large64: 'hit in Redis, 10 KB, 64 callers',
  many: 'getMany of 100 in Redis, 200 B, 4 callers',
} as const

/** Adds to `found` as it measures. */
export async function compareHits(run: CacheRun, redis: RedisAddress, found: CacheRound[]): Promise<void> {
  await compareMemory(run, redis, found)
  const keys = 500
  await compareRedis(run, redis, 200, found, [
    [PARTS.redis1, { keys, callers: 1 }],
    [PARTS.redis64, { keys, callers: 64 }],
    [PARTS.many, { keys, callers: 4, many: 100 }],
  ])
  await compareRedis(run, redis, 10_000, found, [[PARTS.large64, { keys: 100, callers: 64 }]])
}

async function compareMemory(run: CacheRun, redis: RedisAddress, found: CacheRound[]): Promise<void> {
  const names = first('layered-loader', contendersWith('memory'))
  await using lanes = await open(run, redis, names, 'memory', 200)
  const hit = async ({ instances: [instance] }: CacheLane, cpuMs: number, peek: boolean): Promise<Figures> => ({
    'CPU ns': (await instance?.call('memoryHits', { cpuMs, peek })) ?? Number.NaN,
  })
  await compare(run, lanes.all, PARTS.memory, found, (lane, ms) => hit(lane, ms, false))
  const looking = lanes.all.filter(({ contender }) => contender === OURS || contender === 'layered-loader')
  await compare(run, looking, PARTS.peek, found, (lane, ms) => hit(lane, ms, true))
  for (const { contender, instances } of lanes.all) {
    run.onStep(`cache: ${PARTS.held}, ${contender}`)
    const bytes = await instances[0]?.call('bytesHeld', { entries: MEMORY_ENTRIES })
    found.push({ part: PARTS.held, contender, round: 1, figures: { bytes: bytes ?? Number.NaN } })
  }
}

async function compareRedis(
  run: CacheRun,
  redis: RedisAddress,
  bytes: number,
  found: CacheRound[],
  parts: readonly (readonly [part: string, order: Omit<HitOrder, 'durationMs'>])[],
): Promise<void> {
  const names = first('ioredis, auto-pipelining', contendersWith('redis'))
  await using lanes = await open(run, redis, names, 'redis', bytes)
  for (const [part, order] of parts) {
    await compare(run, lanes.all, part, found, async ({ instances: [instance] }, durationMs) => {
      const outcome = await instance?.call('hits', { ...order, durationMs })
      const { hits = 0, elapsedMs = 0, cpuMs = 0 } = outcome ?? {}
      return { 'hits/s': (hits * 1_000) / elapsedMs, 'CPU us': (cpuMs * 1_000) / hits }
    })
  }
}

function open(
  run: CacheRun,
  redis: RedisAddress,
  names: readonly CacheContenderName[],
  tiers: Tiers,
  bytes: number,
): Promise<CacheLanes> {
  return CacheLanes.open(
    names.map(name => [name, tiers] as const),
    redis,
    { source: { loadMs: 0, bytes } },
    run.signal,
  )
}

async function compare(
  run: CacheRun,
  lanes: readonly CacheLane[],
  part: string,
  found: CacheRound[],
  measure: (lane: CacheLane, ms: number) => Promise<Figures>,
): Promise<void> {
  const { rounds, ms } = SIZE[run.full ? 'full' : 'quick']
  run.onStep(`cache: ${part}, warming up`)
  for (const lane of lanes) await measure(lane, WARM_UP_MS)
  await inTurns(lanes, rounds, async (lane, round) => {
    const { contender } = lane
    run.onStep(`cache: ${part}, round ${round} of ${rounds}, ${contender}`)
    found.push({ part, contender, round, figures: await measure(lane, ms) })
  })
}

function first(name: CacheContenderName, all: readonly CacheContenderName[]): CacheContenderName[] {
  return [name, ...all.filter(each => each !== name)]
}
