/** What the tests of data access share: one on the shared servers, and what those still hold of it. */

import { type Database, eventually } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { createDataAccess, type DataAccess, type DataAccessOptions } from './data-access.js'
import type { LifecycleError } from './lifecycle/failure.js'

export interface Named extends DataAccess {
  /** What its connections are called, here and in no other test. */
  readonly label: string
}

export interface DataAccessKit {
  readonly database: Database
  /** Makes one on the shared servers, or on those named; it ends with its test. */
  make(options?: Partial<DataAccessOptions>): Named
  /** Counts the connections of that name which Postgres has. */
  backends(label: string): Promise<number>
  /** Counts those which Redis has. */
  redisClients(label: string): Promise<number>
  expectNothingOpen(data: Named): Promise<void>
}

/** Gives the file a database of its own. */
export function useDataAccess(): DataAccessKit {
  let database: Database
  /** Sees Redis from outside. */
  let observer: Redis
  let made: DataAccess[] = []
  let count = 0

  beforeAll(async () => {
    database = await testPostgres().createDatabase()
    observer = new Redis(testRedis().url)
    await observer.ping()
  })
  afterEach(async () => {
    await Promise.all(made.map(data => data.dispose({ deadline: 0 }).catch(() => {})))
    made = []
  })
  afterAll(async () => {
    await observer.quit()
    await database.drop()
  })

  const kit: DataAccessKit = {
    get database() {
      return database
    },
    make({ postgres, redis = {}, ...rest } = {}) {
      const label = `core-${database.name}-${++count}`
      const data = createDataAccess({
        postgres: { connectionString: database.url, application_name: label, max: 4, ...postgres } as never,
        redis: { url: testRedis().url, connectionName: label, ...redis } as never,
        ...rest,
        cache: { namespace: label, ...rest.cache },
      })
      made.push(data)
      return Object.assign(data, { label })
    },
    async backends(label) {
      const [row] = await database.query<{ n: number }>(
        'select count(*)::int as n from pg_stat_activity where application_name = $1',
        [label],
      )
      return row?.n ?? 0
    },
    async redisClients(label) {
      const list = (await observer.client('LIST')) as string
      return list.split('\n').filter(line => line.includes(` name=${label} `)).length
    },
    expectNothingOpen: ({ label }) =>
      eventually(async () => expect([await kit.backends(label), await kit.redisClients(label)]).toEqual([0, 0])),
  }
  return kit
}

/** Resolves with what the work fails with. */
export const failure = (work: Promise<unknown>): Promise<LifecycleError> =>
  work.then(
    () => {
      throw new Error('it did not fail')
    },
    error => error,
  )
