/**
 * Takes jobs from a table, each within a transaction that locks its row and deletes it: what the handler writes through that
 * transaction and the end of the job are committed together, or neither is. No two take the same job at a time.
 */

import { type Clock, type Duration, Faults, parseDuration, type StepContext, systemClock } from '@breakwater/kernel'
import type { Pool, PoolClient } from '@breakwater/pool'
import type { Consumer } from '../lifecycle/component.js'
import { Taking } from './taking.js'

export interface Job {
  readonly id: string
  readonly payload: unknown
  /** How often it has failed before. */
  readonly attempts: number
}

export interface PostgresQueueOptions {
  readonly pool: Pool
  /**
   * `jobs`, or `schema.jobs`, with the columns `id` (ordered, unique), `payload`, `run_at timestamptz not null default now()`
   * and `attempts int not null default 0`.
   */
  readonly table: string
  /** Does a job, with the transaction of its row. If it fails that is rolled back, and the job comes again later. */
  readonly handle: (job: Job, context: { readonly client: PoolClient; readonly signal: AbortSignal }) => unknown
  /** Told of a handler that failed, and of a database that cannot be asked. Default: nobody is. */
  readonly onError?: (error: unknown, job?: Job) => void
  /** Jobs at a time, a connection each. Default 1. */
  readonly concurrency?: number
  /** How long to wait when there is nothing to do. Default 1 s. */
  readonly poll?: Duration
  /** How long a job that failed waits for the next attempt; twice that after the second, and so on, an hour at most. Default 5 s. */
  readonly retryAfter?: Duration
  /** Default: the process's own. */
  readonly clock?: Clock
}

const LONGEST_RETRY_S = 3_600

/** @throws {BreakwaterError} kind `usage`, code `OPTION_INVALID`. */
export function postgresQueueConsumer(options: PostgresQueueOptions): Consumer {
  return new PostgresQueueConsumer(options)
}

class PostgresQueueConsumer implements Consumer {
  readonly #options: PostgresQueueOptions
  readonly #concurrency: number
  readonly #pollMs: number
  readonly #retryAfterS: number
  readonly #table: string
  readonly #taking: Taking

  constructor(options: PostgresQueueOptions) {
    const { table, concurrency = 1, poll = 1_000, retryAfter = 5_000, clock = systemClock } = options
    const faults = new Faults()
    faults.check(typeof table === 'string' && table !== '', 'table must be a name')
    faults.check(typeof options.handle === 'function', 'handle must be a function')
    faults.check(Number.isInteger(concurrency) && concurrency > 0, 'concurrency must be a whole number above 0')
    faults.check(parseDuration(poll) !== undefined, 'poll must be a duration')
    faults.check(parseDuration(retryAfter) !== undefined, 'retryAfter must be a duration')
    faults.throwIfAny('OPTION_INVALID', 'postgresQueueConsumer')
    this.#options = options
    this.#taking = new Taking(clock)
    this.#concurrency = concurrency
    this.#pollMs = parseDuration(poll) as number
    this.#retryAfterS = (parseDuration(retryAfter) as number) / 1_000
    this.#table = table.split('.').map(quoted).join('.')
  }

  start(): void {
    this.#taking.begin(this.#concurrency, () => this.#take())
  }

  pause(): void {
    this.#taking.pause()
  }

  /** Every job is committed by itself, so there is nothing to commit when all have ended. */
  finish(context: StepContext): Promise<void> {
    return this.#taking.finish(context)
  }

  async #take(): Promise<number> {
    try {
      return (await this.#next()) ? 0 : this.#pollMs
    } catch (error) {
      this.#options.onError?.(error)
      return this.#pollMs
    }
  }

  /** Resolves with whether there was a job. */
  async #next(): Promise<boolean> {
    const client = await this.#options.pool.connect({ signal: this.#taking.paused })
    let failed: Error | undefined
    try {
      await client.query('BEGIN')
      const job = await this.#lock(client)
      if (job !== undefined) await this.#run(client, job)
      await client.query('COMMIT')
      return job !== undefined
    } catch (error) {
      failed = error as Error
      throw error
    } finally {
      // What has failed so far that even the outcome could not be written down goes, with its transaction.
      client.release(failed)
    }
  }

  async #lock(client: PoolClient): Promise<Job | undefined> {
    const { rows } = await client.query<Job>(
      `SELECT id, payload, attempts FROM ${this.#table} WHERE run_at <= now() ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED`,
    )
    return rows[0]
  }

  /** The row stays locked whatever becomes of the job, so that nobody else takes it before its outcome is written. */
  async #run(client: PoolClient, job: Job): Promise<void> {
    await client.query('SAVEPOINT job')
    try {
      await this.#options.handle(job, { client, signal: this.#taking.force })
      await client.query(`DELETE FROM ${this.#table} WHERE id = $1`, [job.id])
    } catch (error) {
      this.#options.onError?.(error, job)
      await client.query('ROLLBACK TO SAVEPOINT job')
      const pauseS = Math.min(this.#retryAfterS * 2 ** job.attempts, LONGEST_RETRY_S)
      await client.query(
        `UPDATE ${this.#table} SET attempts = attempts + 1, run_at = now() + $2 * interval '1 second' WHERE id = $1`,
        [job.id, pauseS],
      )
    }
  }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
