/** Behind a pooler that hands each transaction to another session, session locks mean nothing: that is noticed, and left. */

import pg from 'pg'
import { expect, it } from 'vitest'
import { times, useDatabase, usePgbouncer, usePool } from '../../test/pool-kit.js'

const database = useDatabase()
const bouncer = usePgbouncer()

it('takes a part that is fixed, and leaves no lock in the server', async context => {
  const connectionString = bouncer.url(database.url)
  if (!connectionString) return context.skip(bouncer.why)
  const pool = usePool({ connectionString, fleet: { instances: 40 }, max: 10 })
  const told: unknown[] = []
  pool.observe(event => event.type === 'fleet-fixed' && told.push(event.share))
  const answers = await times(20, () => pool.query('select 1 as one').then(({ rows }) => rows[0]))
  expect(answers).toEqual(Array.from({ length: 20 }, () => ({ one: 1 })))
  expect(pool.stats()).toMatchObject({ max: told[0], fleet: { mode: 'fixed', share: told[0], failedLooks: 0 } })
  expect(told[0]).toBeLessThan(10)
  expect(pool.totalCount).toBeLessThanOrEqual(told[0] as number)
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  const { rows } = await client.query(
    "select from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())",
  )
  expect(rows).toEqual([])
  await client.end()
})
