/** What the tests of the drop-in share: a database of the file's own, and pools that are stopped when their test is over. */

import type { Database } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { Pool } from '../src/pool.js'
import type { PoolConfig } from '../src/pool-options.js'

export interface DatabaseOfFile {
  readonly url: string
  /** Returns the process ids of the backends that serve this database, without the one that is asked. */
  backends(): Promise<number[]>
  /** Ends backends, and resolves when they are gone. */
  killBackends(pids: number[]): Promise<void>
  /** A pool on this database. */
  pool(options?: PoolConfig): Pool
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
    pool: options => usePool({ connectionString: database.url, ...options }),
  }
}

export function usePool(options: PoolConfig): Pool {
  const pool = new Pool(options)
  onTestFinished(() => pool.dispose({ deadline: 0 }))
  return pool
}

/** Resolves with the next event of that name, as the list of its arguments. */
export function next(pool: Pool, event: string): Promise<unknown[]> {
  return new Promise(resolve => (pool as NodeJS.EventEmitter).once(event, (...args) => resolve(args)))
}
