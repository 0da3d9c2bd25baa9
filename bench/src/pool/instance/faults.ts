/** What a pool makes of queries that fail, and of an end that does not wait. */

import { setTimeout as sleep } from 'node:timers/promises'
import { describeError } from '../../report/describe-error.js'
import type { OpenPool } from '../contenders/contender.js'
import type { EndOutcome, FailingOutcome, PoolCalls } from '../protocol.js'

/** The server's refusal carries the backend's pid, so that it is the server that tells how many connections were used. */
const REFUSED = "select ('pid ' || pg_backend_pid())::int"
const PID = /"pid (\d+)"/
const SLOW = 'select pg_sleep(60)'

type Order<M extends keyof PoolCalls> = Parameters<PoolCalls[M]>[0]

/** Runs `queries` queries that the server refuses, by `callers` callers. */
export async function failQueries(pool: OpenPool, { queries, callers }: Order<'fail'>): Promise<FailingOutcome> {
  const pids = new Set<string>()
  let asked = 0
  let refused = 0
  const call = async (): Promise<void> => {
    while (asked++ < queries) {
      const message = await pool.query(REFUSED).then(() => '', describeError)
      const pid = PID.exec(message)?.[1]
      if (pid === undefined) continue
      refused++
      pids.add(pid)
    }
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: callers }, call))
  return { ms: performance.now() - startedAt, refused, connections: pids.size }
}

/** Queries that run until the pool is ended. */
export class SlowQueries {
  readonly #pool: OpenPool
  readonly #running: number
  #settled = 0

  constructor(pool: OpenPool, { queries }: Order<'beginSlow'>) {
    this.#pool = pool
    this.#running = queries
    const count = (): void => void this.#settled++
    for (let i = 0; i < queries; i++) pool.query(SLOW).then(count, count)
  }

  /** Ends the pool as hard as it can, and tells after `waitMs` what has come of that. */
  async forceEnd({ waitMs }: Order<'forceEnd'>): Promise<EndOutcome> {
    let ended = false
    const end = (): void => {
      ended = true
    }
    this.#pool.forceEnd().then(end, () => {})
    await sleep(waitMs)
    return { running: this.#running, settled: this.#settled, ended }
  }
}
