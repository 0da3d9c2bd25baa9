/** A database of the test file's own, in which every connection that a library leaves open is seen. */

import { type Database, eventually } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import { afterAll, beforeAll, expect } from 'vitest'

/** What every connection of a library under test calls itself, unless it is told otherwise. */
export const APPLICATION_NAME = 'compat'

export interface DatabaseOfFile {
  /** Connects under `APPLICATION_NAME`. */
  readonly url: string
  readonly name: string
  /** Runs one statement on a connection of its own. */
  query<R>(text: string, values?: unknown[]): Promise<R[]>
  /** Ends all backends of the library under test, or those given, and resolves when they are gone. */
  killBackends(pids?: number[]): Promise<void>
  /** Resolves when nobody is connected any more; rejects, naming them, if somebody stays. */
  expectNoConnection(): Promise<void>
}

/** Makes the database before the file's first test, and drops it after the last. */
export function useDatabase(): DatabaseOfFile {
  let database: Database
  beforeAll(async () => {
    database = await testPostgres().createDatabase()
  })
  afterAll(() => database.drop())

  const connections = (): Promise<{ pid: number; application_name: string; query: string }[]> =>
    database.query(
      `select pid, application_name, query from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid()`,
    )
  return {
    get url() {
      const url = new URL(database.url)
      url.searchParams.set('application_name', APPLICATION_NAME)
      return url.href
    },
    get name() {
      return database.name
    },
    query: (text, values) => database.query(text, values),
    async killBackends(pids) {
      const killed = pids ?? (await connections()).map(({ pid }) => pid)
      // All at once, so that nobody is given one that is next; then wait until they are gone.
      for (const waitMs of [0, 5_000]) {
        await database.query('select pg_terminate_backend(pid, $2) from unnest($1::int[]) pid', [killed, waitMs])
      }
    },
    expectNoConnection: () => eventually(async () => expect(await connections()).toEqual([]), 2_000),
  }
}
