/** pg-boss on our Pool, by its documented way to bring a database of one's own: `db.executeSql`. */

import { Pool } from '@breakwater/pool'
import PgBoss from 'pg-boss'
import { expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../kit/database.js'

const database = useDatabase()

async function start(): Promise<{ boss: PgBoss; pool: Pool }> {
  const pool = new Pool({ connectionString: database.url, max: 4 })
  const boss = new PgBoss({
    db: { executeSql: (text: string, values: unknown[]) => pool.query(text, values) },
    supervise: false,
    schedule: false,
  })
  const errors: unknown[] = []
  boss.on('error', error => errors.push(error))
  await boss.start()
  onTestFinished(async () => {
    await boss.stop({ graceful: false })
    await pool.end()
    await database.expectNoConnection()
    expect(errors).toEqual([])
  })
  return { boss, pool }
}

it('makes its schema, sends, fetches and completes a job', async () => {
  const { boss } = await start()
  await boss.createQueue('mail')
  const id = await boss.send('mail', { to: 'ada@example.org' })
  const [job] = await boss.fetch<{ to: string }>('mail')
  expect(job).toMatchObject({ id, data: { to: 'ada@example.org' } })
  await boss.complete('mail', id as string)
  expect(await boss.getJobById('mail', id as string)).toMatchObject({ state: 'completed' })
})

it('works off jobs, and retries the one that fails', async () => {
  const { boss } = await start()
  await boss.createQueue('flaky')
  let attempts = 0
  const done = new Promise<void>(resolve => {
    void boss.work('flaky', { pollingIntervalSeconds: 0.5 }, async () => {
      if (++attempts === 1) throw new Error('not yet')
      resolve()
    })
  })
  const id = await boss.send('flaky', {}, { retryLimit: 1, retryDelay: 0 })
  await done
  expect(attempts).toBe(2)
  await expect.poll(() => boss.getJobById('flaky', id as string)).toMatchObject({ state: 'completed', retryCount: 1 })
})

it('sends a job inside a transaction of the caller, which takes it away when it is rolled back', async () => {
  const { boss, pool } = await start()
  await boss.createQueue('orders')
  const client = await pool.connect()
  const db = { executeSql: (text: string, values: unknown[]) => client.query(text, values) }
  await client.query('BEGIN')
  const rolledBack = await boss.send('orders', { n: 1 }, { db })
  await client.query('ROLLBACK')
  await client.query('BEGIN')
  const committed = await boss.send('orders', { n: 2 }, { db })
  await client.query('COMMIT')
  client.release()
  expect(await boss.getJobById('orders', rolledBack as string)).toBeNull()
  expect(await boss.getJobById('orders', committed as string)).toMatchObject({ data: { n: 2 } })
})

it("passes the driver's error on, and goes on", async () => {
  const { boss } = await start()
  await boss.createQueue('after')
  await expect(boss.getJobById('after', 'no uuid')).rejects.toMatchObject({ code: '22P02' })
  await database.killBackends()
  expect(await boss.send('after', {})).toEqual(expect.any(String))
})
