/**
 * Makes the database's statistics exact at an instant. A backend keeps its counts to itself for a second or longer, so
 * before each reading every connection of every instance is told to report; what that adds is known and subtracted.
 */

import type { ClientBase, PoolClient } from 'pg'

/** What is needed of a pool; pg.Pool and its drop-ins have it. */
export interface CountedPool {
  connect(): Promise<PoolClient>
  on(event: 'connect' | 'remove', listener: (client: PoolClient) => void): unknown
}

/**
 * Reports at the end of its own transaction, and counts that too. It reads a table because a backend with transactions
 * but no table accesses to report reports nothing at all.
 * Source: PostgreSQL 15 to 18, `pgstat_report_stat` in src/backend/utils/activity/pgstat.c.
 */
const FLUSH = 'select pg_stat_force_next_flush() from pg_namespace limit 1'

/** Follows the connections of a pool from before it opens the first. */
export class PoolConnections {
  readonly #pool: CountedPool
  readonly #open = new Set<ClientBase>()

  constructor(pool: CountedPool) {
    this.#pool = pool
    pool.on('connect', client => this.#open.add(client))
    pool.on('remove', client => this.#open.delete(client))
  }

  /** Opens `count` connections, so that none is opened (which is a transaction too) while it is measured. */
  async openAll(count: number): Promise<void> {
    const clients = await Promise.all(Array.from({ length: count }, () => this.#pool.connect()))
    for (const client of clients) client.release()
  }

  /**
   * Makes every open connection report what it has run; resolves to the transactions that this itself has added, which
   * are in the report. To be called when no query is in flight. A connection that is closing reports when it is gone.
   *
   * The statement goes straight to the connection and not through `connect()`: a pool that checks an idle connection
   * before it lends it would add transactions of which nobody knows the number.
   */
  async flushStatistics(): Promise<number> {
    const flush = (client: ClientBase): Promise<number> =>
      client.query(FLUSH).then(
        () => 1,
        () => 0,
      )
    const added = await Promise.all([...this.#open].map(flush))
    return added.reduce((sum, each) => sum + each, 0)
  }
}
