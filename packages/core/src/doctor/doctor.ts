/** Looks at the surroundings of a service from outside of it, and says what to do. */

import { Deadline, systemClock } from '@breakwater/kernel'
import { Pool } from '@breakwater/pool'
import { type Expectations, type Facts, type Finding, judge } from '../environment/checks.js'
import { askPostgres, askRedis } from '../environment/environment.js'
import { nodeFacts, supervisorOf } from '../environment/facts.js'
import { closeRedisClient, createRedisClient } from '../redis-client.js'
import { type Advice, advise } from './advice.js'

export interface DoctorOptions extends Omit<Expectations, 'poolMax'> {
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

async function postgresAt(connectionString: string, timeoutMs: number): ReturnType<typeof askPostgres> {
  const pool = new Pool({
    connectionString,
    max: 1,
    application_name: 'breakwater doctor',
    connectionTimeoutMillis: timeoutMs,
  })
  try {
    return await askPostgres(pool, AbortSignal.timeout(timeoutMs))
  } finally {
    await pool.dispose({ deadline: 1_000 })
  }
}

async function redisAt(url: string, timeoutMs: number): ReturnType<typeof askRedis> {
  const client = createRedisClient({ url })
  try {
    return await askRedis(client, AbortSignal.timeout(timeoutMs))
  } finally {
    await closeRedisClient(client, {
      signal: AbortSignal.timeout(1_000),
      deadline: new Deadline(systemClock, 1_000),
    }).catch(() => {})
  }
}
