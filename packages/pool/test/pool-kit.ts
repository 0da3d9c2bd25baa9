/** What the tests of the drop-in share: a database of the file's own, and pools that are stopped when their test is over. */

import type { Database } from '@breakwater/testkit'
import { eventually, type Server, startPgbouncer } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import { Pool } from '../src/pool.js'
import type { PoolConfig } from '../src/pool-options.js'

export interface DatabaseOfFile {
  readonly url: string
  /** Returns the process ids of the backends that serve this database, without the one that is asked. */
  backends(): Promise<number[]>
  /** Ends backends, and resolves when they are gone. */
  killBackends(pids: number[]): Promise<void>
  /** Resolves when `count` queries run in this database. */
  waitUntilRunning(count: number, timeoutMs?: number): Promise<void>
  /** Returns the process ids of the backends that wait for a lock; at least one does before long. */
  waitingForLocks(): Promise<number[]>
  /** A pool on this database. */
  pool(options?: PoolConfig): Pool
  /** `pg.Pool` on this database, to see what it does. */
  stockPool(options?: pg.PoolConfig): pg.Pool
}

export function useDatabase(): DatabaseOfFile {
  let database: Database
  beforeAll(async () => {
    database = await testPostgres().createDatabase()
  })
  afterAll(() => database.drop())
  const backends = async (): Promise<number[]> => {
    const rows = await database.query<{ pid: number }>(
      'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() order by 1',
    )
    return rows.map(({ pid }) => pid)
  }
  return {
    get url() {
      return database.url
    },
    backends,
    async killBackends(pids) {
      // The second argument has it wait until the backend is gone.
      await database.query('select pg_terminate_backend(pid, 5000) from unnest($1::int[]) pid', [pids])
    },
    waitUntilRunning: (count, timeoutMs) =>
      eventually(async () => {
        const rows = await database.query(
          "select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state = 'active'",
        )
        expect(rows).toHaveLength(count)
      }, timeoutMs),
    async waitingForLocks() {
      let waiting: { pid: number }[] = []
      await eventually(async () => {
        waiting = await database.query(
          "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        return waiting.length > 0
      })
      return waiting.map(({ pid }) => pid)
    },
    pool: options => usePool({ connectionString: database.url, ...options }),
    stockPool: options => useStockPool({ connectionString: database.url, ...options }),
  }
}

export function usePool(options: PoolConfig): Pool {
  const pool = new Pool(options)
  onTestFinished(() => pool.dispose({ deadline: 0 }))
  return pool
}

/** Ended by closing its sockets, as its `end` may wait for ever. */
export function useStockPool(options: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(options)
  const clients = new Set<pg.PoolClient>()
  pool.on('connect', client => void clients.add(client.on('error', () => undefined)))
  pool.on('error', () => undefined)
  onTestFinished(() => {
    if (!pool.ending) void pool.end()
    for (const client of clients) {
      ;(client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
    }
  })
  return pool
}

/** Resolves with the next event of that name, as the list of its arguments. */
export function next(pool: Pool, event: string): Promise<unknown[]> {
  return new Promise(resolve => (pool as NodeJS.EventEmitter).once(event, (...args) => resolve(args)))
}

/** Resolves with how the promise ends, or with 'pending' if it has not after `ms`. */
export async function within(ms: number, promise: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  const pending = new Promise(resolve => {
    timer = setTimeout(resolve, ms, 'pending')
  })
  try {
    return await Promise.race([promise.catch(error => error), pending])
  } finally {
    clearTimeout(timer)
  }
}

/** Runs `task` that many times at once, and resolves with what came of each, answer or error. */
export function times(count: number, task: () => Promise<unknown>): Promise<unknown[]> {
  return Promise.all(Array.from({ length: count }, () => task().catch(error => error)))
}

/** A PgBouncer before the tests' Postgres, in transaction mode, or the reason why there is none. */
export function usePgbouncer(): { url(original: string): string | undefined; readonly why: string } {
  let bouncer: Server | undefined
  let why = ''
  beforeAll(async () => {
    bouncer = await startPgbouncer(testPostgres()).catch(error => {
      why = `no PgBouncer: ${String(error).split('\n')[0]}`
      return undefined
    })
  })
  afterAll(() => bouncer?.[Symbol.asyncDispose]())
  return {
    get why() {
      return why
    },
    url(original) {
      if (!bouncer) return undefined
      const url = new URL(original)
      url.host = `${bouncer.host}:${bouncer.port}`
      return url.href
    },
  }
}
