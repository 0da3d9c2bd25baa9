/** node-pg-migrate on a client of our Pool: migrations up and down, under its advisory lock. */

import { fileURLToPath } from 'node:url'
import { Pool } from '@breakwater/pool'
import { runner } from 'node-pg-migrate'
import { afterEach, expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../kit/database.js'

const database = useDatabase()
afterEach(() => database.query('drop table if exists vessel, migration'))

const NAMES = ['1700000000001_fleet', '1700000000002_home-port']
const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** Runs migrations on a client of a pool of its own, and returns the names of those that ran. */
async function migrate(direction: 'up' | 'down', folder = 'migrations'): Promise<string[]> {
  const pool = new Pool({ connectionString: database.url })
  onTestFinished(async () => {
    if (!pool.ended) await pool.end()
    await database.expectNoConnection()
  })
  const client = await pool.connect()
  try {
    const ran = await runner({
      dbClient: client,
      dir: fileURLToPath(new URL(`../../fixtures/${folder}`, import.meta.url)),
      direction,
      count: Number.POSITIVE_INFINITY,
      migrationsTable: 'migration',
      singleTransaction: true,
      logger: silent,
    })
    return ran.map(({ name }) => name)
  } finally {
    client.release()
    await pool.end()
  }
}

it('goes up, once, and down again', async () => {
  expect(await migrate('up')).toEqual(NAMES)
  expect(await database.query('select name, home_port from vessel')).toEqual([{ name: 'Fram', home_port: 'Oslo' }])
  expect(await migrate('up')).toEqual([])
  expect(await migrate('down')).toEqual(NAMES.toReversed())
  expect(await database.query(`select to_regclass('vessel') as found`)).toEqual([{ found: null }])
})

it('rolls back everything when one migration fails, and passes on the error of the driver', async () => {
  await expect(migrate('up', 'broken-migrations')).rejects.toMatchObject({ code: '42P01' })
  expect(await database.query(`select to_regclass('vessel') as found`)).toEqual([{ found: null }])
})

it('runs each migration once when two start at once, for one of them sees the lock of the other', async () => {
  const runs = await Promise.allSettled([migrate('up'), migrate('up')])
  const ran = runs.flatMap(run => (run.status === 'fulfilled' ? run.value : []))
  expect(ran).toEqual(NAMES)
  expect(await database.query('select count(*)::int as ran from migration')).toEqual([{ ran: 2 }])
})
