/** The program that the bench forks for each instance of a fleet: one pool, and callers who always want something. */

import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from '@breakwater/pool'
import pg from 'pg'
import { answerCalls } from '../process/answer-calls.js'
import type { FleetCalls, InstanceCounts } from './protocol.js'
import type { FleetContenderName } from './results.js'

/** What a team gives each instance of a service by hand; Breakwater's may have more, where the others leave it. */
const MAX = { 'pg-pool': 5, breakwater: 14 }
const QUERY = 'select pg_sleep(0.01)'
/** A caller whose query failed asks again after this time, or a refused connection would be a busy loop. */
const AFTER_ERROR_MS = 20

let pool: pg.Pool | undefined
let callers = 0
let wanted = 0
const counts = { answered: 0, errors: 0, refused: 0 }

async function ask(): Promise<void> {
  while (callers <= wanted) {
    try {
      await useConnection(pool as pg.Pool)
      counts.answered++
    } catch (error) {
      counts.errors++
      if ((error as { code?: unknown }).code === '53300') counts.refused++
      await sleep(AFTER_ERROR_MS)
    }
  }
  callers--
}

/** As a transaction does: what is shared out is connections, so that each caller has to want one of its own. */
async function useConnection(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query(QUERY)
  } finally {
    client.release()
  }
}

function open(contender: FleetContenderName, connectionString: string): pg.Pool {
  const options = { connectionString, max: MAX[contender] }
  const opened = contender === 'breakwater' ? new Pool({ ...options, fleet: true }) : new pg.Pool(options)
  return opened.on('error', () => undefined)
}

function counted(): InstanceCounts {
  const fleet = pool instanceof Pool ? pool.stats().fleet : undefined
  const { answered, errors, refused } = counts
  const held = fleet?.held ?? pool?.totalCount ?? 0
  return { answered, errors, refused: fleet?.refused ?? refused, held, looks: fleet?.looks ?? 0 }
}

async function finish(): Promise<InstanceCounts> {
  wanted = 0
  if (pool && !pool.ending) await pool.end()
  return counted()
}

answerCalls<FleetCalls>({
  async open({ contender, postgresUrl }) {
    pool = open(contender, postgresUrl)
    return process.pid
  },
  async load(order) {
    wanted = order.callers
    while (callers < wanted) {
      callers++
      void ask()
    }
  },
  async counts() {
    return counted()
  },
  finish,
  async close() {
    await finish()
  },
})
