/** An instance of a service, as the tests of a fleet see it. */

import { Pool } from '../src/pool.js'
import type { PoolConfig } from '../src/pool-options.js'

/** One instance: a pool, and callers who always want something of it. */
export class Instance {
  readonly pool: Pool
  readonly errors: unknown[] = []
  answered = 0
  #callers = 0
  #wanted = 0
  #queryMs = 10

  constructor(options: PoolConfig) {
    // What is shared is connections, so that each caller has to want one.
    this.pool = new Pool({ max: 10, fleet: true, pipeline: false, ...options })
  }

  get share(): number {
    return this.pool.stats().fleet?.share ?? 0
  }

  get held(): number {
    return this.pool.stats().fleet?.held ?? 0
  }

  /** Sets how many callers ask, one query after the other, each of which takes the server that long. */
  load(callers: number, queryMs: number = 10): void {
    this.#wanted = callers
    this.#queryMs = queryMs
    while (this.#callers < callers) {
      this.#callers++
      void this.#ask()
    }
  }

  async #ask(): Promise<void> {
    while (this.#callers <= this.#wanted) {
      try {
        await this.pool.query('select pg_sleep($1)', [this.#queryMs / 1_000])
        this.answered++
      } catch (error) {
        if (this.pool.ending) break
        this.errors.push(error)
      }
    }
    this.#callers--
  }

  async stop(): Promise<void> {
    this.#wanted = 0
    await this.pool.dispose({ deadline: 200 })
  }
}
