/** One Postgres and one Redis for a whole test run, stopped when it is over. */

import type { TestProject } from 'vitest/node'
import { startPostgres } from './postgres/start-postgres.js'
import { startRedis } from './redis/start-redis.js'
import { sharedFacts } from './shared-servers.js'

/** Starts both at once, and returns what stops them. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  project.provide('breakwaterPostgres', sharedFacts(postgres))
  project.provide('breakwaterRedis', sharedFacts(redis))
  return async () => {
    await Promise.all([postgres[Symbol.asyncDispose](), redis[Symbol.asyncDispose]()])
  }
}
