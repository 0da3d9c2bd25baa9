/** Looks at the surroundings of a service from outside of it, and says what to do. */

import { Deadline, systemClock } from '@breakwater/kernel'
import { Pool } from '@breakwater/pool'
import { type Expectations, type Facts, type Finding, judge } from '../environment/checks.js'
import { asked, asker, askRedis } from '../environment/environment.js'
import {
  connectionHolders,
  nodeFacts,
  type PostgresFacts,
  postgresFacts,
  type RedisFacts,
  supervisorOf,
} from '../environment/facts.js'
import { closeRedisClient, createRedisClient } from '../redis-client.js'
import { type Advice, advise } from './advice.js'

/** Of which the fastest round trip counts. */
const ROUNDS = 5

export interface DoctorOptions extends Omit<Expectations, 'poolMax' | 'isFleet'> {
  readonly postgres: string | undefined
  readonly redis: string | undefined
  /** Connections of each instance's pool; undefined: what is advised. */
  readonly poolMax: number | undefined
  readonly qps: number
  /** Ms that a query holds its connection; undefined: two measured round trips. */
  readonly holdMs: number | undefined
  readonly timeoutMs: number
}

export interface Diagnosis {
  readonly facts: Facts
  readonly findings: readonly Finding[]
  /** None when Postgres could not be asked. */
  readonly advice: (Advice & { readonly holdMs: number }) | undefined
}

export async function diagnose(options: DoctorOptions): Promise<Diagnosis> {
  const { instances, qps, deadlineMs, lock, timeoutMs } = options
  const [node, postgres, redis] = await Promise.all([
    nodeFacts(),
    options.postgres === undefined ? 'no URL' : postgresAt(options.postgres, timeoutMs),
    options.redis === undefined ? undefined : redisAt(options.redis, timeoutMs),
  ])
  const facts: Facts = { node, postgres, redis, supervisor: supervisorOf(process.env, false) }
  const holdMs = options.holdMs ?? (typeof postgres === 'string' ? 0 : Math.max(1, postgres.roundTripMs * 2))
  const advice = typeof postgres === 'string' ? undefined : { ...advise(postgres, { instances, qps, holdMs }), holdMs }
  const poolMax = options.poolMax ?? advice?.max ?? 1
  return { facts, findings: judge(facts, { instances, poolMax, deadlineMs, lock }), advice }
}

async function postgresAt(connectionString: string, timeoutMs: number): Promise<PostgresFacts | string> {
  const pool = new Pool({
    connectionString,
    max: 1,
    application_name: 'breakwater doctor',
    connectionTimeoutMillis: timeoutMs,
  })
  try {
    const ask = asker(pool, AbortSignal.timeout(timeoutMs))
    return await asked(async () => ({
      ...(await postgresFacts(ask, systemClock, ROUNDS)),
      holders: await connectionHolders(ask),
    }))
  } finally {
    await pool.dispose({ deadline: 1_000 })
  }
}

async function redisAt(url: string, timeoutMs: number): Promise<RedisFacts | string> {
  const client = createRedisClient({ url })
  try {
    return await askRedis(client, systemClock, AbortSignal.timeout(timeoutMs))
  } finally {
    await closeRedisClient(client, {
      signal: AbortSignal.timeout(1_000),
      deadline: new Deadline(systemClock, 1_000),
    }).catch(() => {})
  }
}
