/** The program that the bench forks for each instance of a fleet: one pool, and callers who always want something. */

import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from '@breakwater/pool'
import pg from 'pg'
import { answerCalls } from '../process/answer-calls.js'
import type { FleetCalls } from './protocol.js'
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
      await pool?.query(QUERY)
      counts.answered++
    } catch (error) {
      if (pool?.ending) break
      counts.errors++
      if ((error as { code?: unknown }).code === '53300') counts.refused++
      await sleep(AFTER_ERROR_MS)
    }
  }
  callers--
}

function open(contender: FleetContenderName, connectionString: string): pg.Pool {
  const options = { connectionString, max: MAX[contender] }
  const opened = contender === 'breakwater' ? new Pool({ ...options, fleet: true }) : new pg.Pool(options)
  return opened.on('error', () => undefined)
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
    const fleet = pool instanceof Pool ? pool.stats().fleet : undefined
    const { answered, errors, refused } = counts
    const connections = pool?.totalCount ?? 0
    return { answered, errors, refused: fleet?.refused ?? refused, connections, looks: fleet?.looks ?? 0 }
  },
  async close() {
    wanted = 0
    await pool?.end()
  },
})
