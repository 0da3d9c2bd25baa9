/** One instance against the real servers: what it asks the database for, and what it makes of a wrong answer. */

import { randomBytes } from 'node:crypto'
import type { Database } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { beforeAll, describe, expect, it } from 'vitest'
import { ensureTemplate, TEMPLATE } from '../data/template.js'
import { loadWorld } from '../data/world.js'
import { createRandom } from '../load/random.js'
import { createSchedule } from '../load/schedule.js'
import { DatabaseCounter } from '../measure/database-counter.js'
import { findScenario } from '../scenarios/index.js'
import type { Scenario } from '../scenarios/scenario.js'
import { Instance } from './instance.js'
import type { LoadOrder } from './protocol.js'
import { removeKeys } from './remove-keys.js'

const order: LoadOrder = { seed: 1, purpose: 'test', rate: 400, durationMs: 500 }
const penetration = findScenario('penetration') as Scenario

beforeAll(() => ensureTemplate(testPostgres().url))

/** Runs `work` with the only instance of the baseline in the penetration scenario. */
async function withBaseline(work: (instance: Instance, counter: DatabaseCounter, database: Database) => Promise<void>) {
  const server = testPostgres()
  await using database = await server.createDatabase({ template: TEMPLATE })
  const counter = await DatabaseCounter.open(server.url, database.name)
  const namespace = `bench-${randomBytes(4).toString('hex')}`
  const instance = await Instance.open({
    contender: 'baseline',
    scenario: penetration.name,
    instance: 0,
    instances: 1,
    postgresUrl: database.url,
    redisUrl: testRedis().url,
    namespace,
  })
  try {
    await work(instance, counter, database)
  } finally {
    await instance.close()
    await counter.close()
    await removeKeys(testRedis().url, namespace)
  }
}

describe('an instance of the baseline under penetration', () => {
  it('sends the database exactly one query for each absent id, and none for an id that was primed', async () => {
    await withBaseline(async (instance, counter) => {
      await instance.prime()
      const { result: outcome, transactions } = await counter.during(
        () => instance.flushStatistics(),
        () => instance.load(order),
      )
      expect(outcome).toMatchObject({ errors: 0, wrong: 0, errorMessages: {} })

      const world = await loadWorld()
      const random = (what: string) => createRandom(order.seed, order.purpose, 0, what)
      const nextId = penetration.traffic(world, random('ids'))
      const { ids } = createSchedule(order.rate, order.durationMs, random('arrivals'), nextId)
      const absent = ids.filter(id => !world.byId.has(Number(id))).length
      expect(absent / ids.length).toBeCloseTo(0.9, 1)
      expect(outcome).toMatchObject({ asked: ids.length, answered: ids.length })
      expect(transactions).toBe(absent)
    })
  })

  it('counts every answer that is not what the table held as wrong', async () => {
    await withBaseline(async (instance, _, database) => {
      await database.query(`update cities set name = name || '!'`)
      const { answered, wrong, errors } = await instance.load(order)
      expect(errors).toBe(0)
      expect(wrong / answered).toBeCloseTo(0.1, 1)
    })
  })
})
