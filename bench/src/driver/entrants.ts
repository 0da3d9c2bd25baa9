/** Gives each contender a database of its own, copied from the template, and a counter of what happens in it. */

import { BreakwaterError } from '@breakwater/kernel'
import type { Database, PostgresServer } from '@breakwater/testkit'
import type { ContenderName } from '../contenders/index.js'
import { TEMPLATE } from '../data/template.js'
import { DatabaseCounter } from '../measure/database-counter.js'

/** A contender with its database. */
export interface Entrant {
  readonly contender: ContenderName
  readonly postgresUrl: string
  readonly counter: DatabaseCounter
}

/** The first with `pg_stat_force_next_flush`, without which the database's statistics can't be read exactly. */
const OLDEST_POSTGRES = 15

export class Entrants implements AsyncDisposable {
  readonly all: readonly Entrant[]
  readonly #databases: readonly Database[]

  private constructor(databases: readonly Database[], all: readonly Entrant[]) {
    this.#databases = databases
    this.all = all
  }

  /** Makes the databases; drops them again if that fails half-way. */
  static async open(postgres: PostgresServer, contenders: readonly ContenderName[]): Promise<Entrants> {
    if (Number.parseInt(postgres.version, 10) < OLDEST_POSTGRES) {
      const message = `Postgres ${postgres.version} can't be measured exactly; version ${OLDEST_POSTGRES} or later is needed`
      throw new BreakwaterError('failed', 'POSTGRES_TOO_OLD', message)
    }
    const databases: Database[] = []
    const all: Entrant[] = []
    const entrants = new Entrants(databases, all)
    try {
      for (const contender of contenders) {
        const database = await postgres.createDatabase({ template: TEMPLATE })
        databases.push(database)
        const counter = await DatabaseCounter.open(postgres.url, database.name)
        all.push({ contender, postgresUrl: database.url, counter })
      }
      return entrants
    } catch (error) {
      await entrants[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map(each => each.counter.close()))
    await Promise.all(this.#databases.map(each => each.drop()))
  }
}
