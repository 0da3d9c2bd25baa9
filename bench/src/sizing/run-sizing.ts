/** For each of several loads: what fixed sizes are worth, one after the other, and which one a pool finds itself. */

import { Pool, type PoolConfig } from '@breakwater/pool'
import type { PostgresServer } from '@breakwater/testkit'
import { runClosedLoop } from '../load/closed-loop.js'
import { Latencies } from '../load/latency.js'
import { runOpenLoop } from '../load/open-loop.js'
import { createRandom, type Random } from '../load/random.js'
import { createSchedule } from '../load/schedule.js'
import type { Target } from '../load/target.js'
import type { PoolRun } from '../pool/pool-run.js'
import { describeError } from '../report/describe-error.js'
import { spread } from '../report/spread.js'
import { bestOf, sizingTargets } from './best.js'
import { LOADS, type Load } from './loads.js'
import type { SizedLoad, SizeFound, SizeRound, SizingResults } from './results.js'

/** Each size is tried so often, in turn with the others: what the machine does besides comes and goes. */
const ROUNDS = { quick: 3, full: 9 }
const WARM_UP_MS = 300
/** Before the step in load there is this part of it, for so long; after it the pool has so long to find its size. */
const CALM = { ratio: 0.05, ms: 1_000 }
const SETTLE_MS = 12_000
const PATIENCE_MS = 10_000
/** Connections that the pool may have which looks for its size: far more than are of use. */
const MOST = 50
/** The size that was found is the median of all looks at it, once it has settled. */
const LOOK_MS = 100

export async function runSizing(run: PoolRun, postgres: PostgresServer): Promise<SizingResults> {
  const loads: SizedLoad[] = []
  try {
    await using database = await postgres.createDatabase()
    for (const load of LOADS) loads.push(await runLoad(run, database.url, load))
    return { loads, targets: sizingTargets(loads) }
  } catch (error) {
    run.signal.throwIfAborted()
    return { loads, targets: sizingTargets(loads), failure: describeError(error) }
  }
}

async function runLoad(run: PoolRun, connectionString: string, load: Load): Promise<SizedLoad> {
  const rounds = ROUNDS[run.full ? 'full' : 'quick']
  const options = { connectionString, connectionTimeoutMillis: PATIENCE_MS, shed: false } as const
  const sweep = load.sizes.map(size => ({ size, rounds: [] as SizeRound[] }))
  for (let round = 0; round < rounds; round++) {
    run.onStep(`sizing: ${load.name}: fixed sizes, round ${round + 1} of ${rounds}`)
    for (const { size, rounds } of sweep) {
      run.signal.throwIfAborted()
      await using pool = new Pool({ ...options, max: size, min: size })
      await pool.init()
      await offer(load, pool, WARM_UP_MS, 1, createRandom(run.seed, load.name, 'warm-up'))
      rounds.push(await offer(load, pool, load.windowMs, 1, createRandom(run.seed, load.name, `${round}`)))
    }
  }
  const meanMs = 'meanMs' in load ? load.meanMs : undefined
  const best = bestOf(sweep, meanMs)
  const found: SizeFound[] = []
  for (let round = 0; round < rounds; round++) {
    run.onStep(`sizing: ${load.name}: by itself, round ${round + 1} of ${rounds}`)
    run.signal.throwIfAborted()
    found.push(await find(run, load, { ...options, max: MOST, sizing: 'auto' }, round, best))
  }
  return { load: load.name, ...(meanMs !== undefined && { meanMs }), sweep, best, found }
}

/** Has a pool find its size: from next to no load to all of it. */
async function find(
  { seed }: PoolRun,
  load: Load,
  options: PoolConfig,
  round: number,
  best: number,
): Promise<SizeFound> {
  await using pool = new Pool(options)
  await offer(load, pool, CALM.ms, CALM.ratio, createRandom(seed, load.name, `calm ${round}`))
  const steppedAt = performance.now()
  let grownMs: number | null = null
  const stop = pool.observe(event => {
    if (event.type === 'sized' && event.size >= best * 0.8) grownMs ??= performance.now() - steppedAt
  })
  if ((pool.stats().sizing?.size ?? 0) >= best * 0.8) grownMs = 0
  await offer(load, pool, SETTLE_MS, 1, createRandom(seed, load.name, `settle ${round}`))
  const sizes: number[] = []
  const looking = setInterval(() => sizes.push(pool.stats().sizing?.size ?? 0), LOOK_MS)
  const outcome = await offer(load, pool, load.windowMs, 1, createRandom(seed, load.name, `${round}`))
  clearInterval(looking)
  stop()
  const { load: inUse = 0, need = 0 } = pool.stats().sizing ?? {}
  return { size: Math.round(spread(sizes).median), ...outcome, load: inUse, need, grownMs }
}

/** Offers a load, or a part of it, for so long. What comes, and what it wants, is for the seed to decide, not for the pool. */
async function offer(load: Load, pool: Pool, ms: number, part: number, random: Random): Promise<SizeRound> {
  const waits = new Latencies()
  const nextId = load.works(random)
  const target: Target = {
    async ask(workMs) {
      const askedAt = performance.now()
      await load.ask(pool, workMs as number)
      waits.record(Math.max(0, performance.now() - askedAt - (workMs as number)))
    },
    check: () => true,
  }
  if ('callers' in load) {
    const callers = Math.max(1, Math.round(load.callers * part))
    const outcome = await runClosedLoop({ callers, durationMs: ms, nextId }, target, PATIENCE_MS)
    return { perSecond: (outcome.answered * 1_000) / outcome.elapsedMs, errors: outcome.errors }
  }
  const outcome = await runOpenLoop(createSchedule(load.perSecond * part, ms, random, nextId), target, PATIENCE_MS)
  const perSecond = (outcome.answered * 1_000) / outcome.elapsedMs
  return { perSecond, p99WaitMs: waits.percentiles().p99, errors: outcome.errors }
}
