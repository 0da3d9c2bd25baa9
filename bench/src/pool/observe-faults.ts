/** Puts pg.Pool and Breakwater through the same faults on a server of their own, one after the other. */

import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, eventually, type PostgresServer, startPostgres } from '@breakwater/testkit'
import pg from 'pg'
import { CONNECTIONS } from '../contenders/contender.js'
import { citiesSnapshot, TEMPLATE } from '../data/template.js'
import { PEER, type PoolContenderName } from './contenders/index.js'
import { type Lane, Lanes } from './lanes.js'
import { machineNow } from './machine-clock.js'
import type { PoolRun } from './pool-run.js'
import type { StreamAnswer } from './protocol.js'
import type { Faults, ForcedEnd, Restart } from './results.js'

const CONTENDERS: readonly PoolContenderName[] = [PEER, 'breakwater']
const RESTARTS = { quick: 2, full: 5 }

const FAILING = { queries: 3_000, callers: CONNECTIONS }

/** Queries a second while the server restarts. */
const RATE = 200
const BEFORE_MS = 300
/** Long enough for a back-off to have grown as long as it gets. */
const DOWN_MS = 2_000
/** The server's start is part of it. */
const AFTER_MS = 3_000

const SLOW_QUERIES = 3
const END_WITHIN_MS = 300

/** Adds to `found` as it observes. */
export async function observeFaults(run: PoolRun, found: Faults[]): Promise<void> {
  run.onStep('pool: starting another Postgres, to be killed')
  await using server = await startPostgres({ own: true, snapshot: citiesSnapshot })
  run.signal.throwIfAborted()
  await using database = await server.createDatabase({ template: TEMPLATE })
  for (const contender of CONTENDERS) {
    await using lanes = await Lanes.open([contender], database.url, run.signal)
    for (const lane of lanes.all) found.push(await observe(run, server, database, lane))
  }
}

async function observe(run: PoolRun, server: PostgresServer, database: Database, lane: Lane): Promise<Faults> {
  const { contender, instance } = lane
  run.onStep(`pool: ${FAILING.queries} failing queries, ${contender}`)
  const failing = { ...FAILING, ...(await instance.call('fail', FAILING)) }
  const restarts: Restart[] = []
  const times = RESTARTS[run.full ? 'full' : 'quick']
  for (let time = 1; time <= times; time++) {
    run.onStep(`pool: restart ${time} of ${times}, ${contender}`)
    restarts.push(await observeRestart(run, server, lane))
  }
  run.onStep(`pool: forced end, ${contender}`)
  const forcedEnd = await observeForcedEnd(server, database, lane)
  return { contender, failing, restarts, forcedEnd }
}

/** Kills the server under a steady stream of queries, and starts it again. */
export async function observeRestart(run: PoolRun, server: PostgresServer, { instance }: Lane): Promise<Restart> {
  const { seed, signal } = run
  const [outcome, { downAt, upAt }] = await Promise.all([
    instance.call('stream', { seed, rate: RATE, durationMs: BEFORE_MS + DOWN_MS + AFTER_MS }),
    restart(server, signal),
  ])
  const { asked, errors, errorMessages, answers } = outcome
  return { recoveredMs: recovery(answers, downAt, upAt), asked, errors, errorMessages }
}

/** Resolves to when the server was gone, and when it accepted connections again; the latter is 5 ms late at most. */
async function restart(server: PostgresServer, signal: AbortSignal): Promise<{ downAt: number; upAt: number }> {
  await sleep(BEFORE_MS, undefined, { signal })
  await server.kill()
  const downAt = machineNow()
  await sleep(DOWN_MS, undefined, { signal })
  await server.start()
  return { downAt, upAt: machineNow() }
}

/**
 * Returns the ms from `upAt` to the first answer to a query that was sent after `downAt`, so that it cannot be the old
 * server's; null if there is none.
 */
export function recovery(answers: readonly StreamAnswer[], downAt: number, upAt: number): number | null {
  const fresh = answers.filter(({ sentAt }) => sentAt > downAt).map(({ answeredAt }) => answeredAt)
  return fresh.length === 0 ? null : Math.max(0, Math.min(...fresh) - upAt)
}

/** Ends a pool under which queries run, and counts what of it is left in the server. */
export async function observeForcedEnd(
  server: PostgresServer,
  database: Database,
  { instance }: Lane,
): Promise<ForcedEnd> {
  const observer = new pg.Client({ connectionString: server.url })
  await observer.connect()
  const backends = async (condition = 'true'): Promise<number> => {
    const { rows } = await observer.query<{ count: number }>(
      `select count(*)::int from pg_stat_activity where datname = $1 and ${condition}`,
      [database.name],
    )
    return rows[0]?.count ?? 0
  }
  try {
    await instance.call('beginSlow', { queries: SLOW_QUERIES })
    await eventually(async () => (await backends("wait_event = 'PgSleep'")) === SLOW_QUERIES)
    const outcome = await instance.call('forceEnd', { waitMs: END_WITHIN_MS })
    return { ...outcome, backends: await backends() }
  } finally {
    await observer.end()
  }
}
