/**
 * Reads from the database's own statistics how many transactions it has run. Outside a transaction block each query is
 * one transaction, so this counts queries without asking the contender, who cannot lie about it.
 */

import pg from 'pg'

/** A counter of one database, read from a connection to another one, so that reading is not counted. */
export class DatabaseCounter {
  readonly #observer: pg.Client
  readonly #database: string

  private constructor(observer: pg.Client, database: string) {
    this.#observer = observer
    this.#database = database
  }

  /**
   * @param observerUrl Any other database of the same server.
   * @param database The name of the database to count in.
   */
  static async open(observerUrl: string, database: string): Promise<DatabaseCounter> {
    const observer = new pg.Client({ connectionString: observerUrl })
    await observer.connect()
    return new DatabaseCounter(observer, database)
  }

  /** Returns all transactions, committed or rolled back, that backends have reported; they do so late unless flushed. */
  async read(): Promise<number> {
    const { rows } = await this.#observer.query<{ transactions: string }>(
      'select xact_commit + xact_rollback as transactions from pg_stat_database where datname = $1',
      [this.#database],
    )
    return Number(rows[0]?.transactions)
  }

  /**
   * Runs `work` and counts the transactions that the database had to run for it.
   * @param flush Makes every connection to the database report; resolves to the transactions that this has added itself.
   */
  async during<T>(flush: () => Promise<number>, work: () => Promise<T>): Promise<{ result: T; transactions: number }> {
    await flush()
    const before = await this.read()
    const result = await work()
    const added = await flush()
    return { result, transactions: (await this.read()) - before - added }
  }

  async close(): Promise<void> {
    await this.#observer.end()
  }
}
