/** graphile-worker on our Pool, by its `pgPool` option: migrations, jobs, retries, and LISTEN. */

import { Pool } from '@breakwater/pool'
import { Logger, makeWorkerUtils, run, runOnce, type TaskList } from 'graphile-worker'
import { expect, it, onTestFinished, vi } from 'vitest'
import { useDatabase } from '../kit/database.js'

const database = useDatabase()
const logger = new Logger(() => () => undefined)

function open(): Pool {
  const pool = new Pool({ connectionString: database.url, max: 5 })
  // Without listeners for these two, graphile-worker prints a warning and adds its own.
  pool.on('error', () => undefined)
  pool.on('connect', client => void client.on('error', () => undefined))
  onTestFinished(async () => {
    await pool.end()
    await database.expectNoConnection()
  })
  return pool
}

async function addJob(pool: Pool, task: string, payload: object, options = {}): Promise<string> {
  const utils = await makeWorkerUtils({ pgPool: pool, logger })
  const { id } = await utils.addJob(task, payload, options)
  await utils.release()
  return id
}

it('makes its schema, and runs a job once', async () => {
  const pool = open()
  await addJob(pool, 'greet', { name: 'Ada' })
  const greeted: unknown[] = []
  const taskList: TaskList = {
    greet: async (payload, { query }) => {
      greeted.push(payload, (await query('select 1 as one')).rows)
    },
  }
  await runOnce({ pgPool: pool, taskList, logger })
  await runOnce({ pgPool: pool, taskList, logger })
  expect(greeted).toEqual([{ name: 'Ada' }, [{ one: 1 }]])
  // It gives the client that it listened with back behind the end of the run.
  await vi.waitFor(() => expect(pool.idleCount).toBe(pool.totalCount))
})

it('keeps a job that fails for a retry, with the error', async () => {
  const pool = open()
  const id = await addJob(pool, 'fail', {}, { maxAttempts: 2 })
  await runOnce({
    pgPool: pool,
    logger,
    taskList: {
      fail: () => {
        throw new Error('not yet')
      },
    },
  })
  const { rows } = await pool.query('select attempts, last_error from graphile_worker.jobs where id = $1', [id])
  expect(rows).toEqual([{ attempts: 1, last_error: expect.stringContaining('not yet') }])
  await pool.query('delete from graphile_worker._private_jobs where id = $1', [id])
})

it('adds a job inside a transaction of the caller, or not at all', async () => {
  const pool = open()
  await addJob(pool, 'other', {})
  const client = await pool.connect()
  await client.query('BEGIN')
  await client.query(`select graphile_worker.add_job('never', '{}')`)
  await client.query('ROLLBACK')
  client.release()
  const { rows } = await pool.query(`select 1 from graphile_worker.jobs where task_identifier = 'never'`)
  expect(rows).toEqual([])
})

it('listens for jobs on a connection of its own, also after that one was lost', async () => {
  const pool = open()
  const done = vi.fn<(n: number) => void>()
  const runner = await run({
    pgPool: pool,
    logger,
    noHandleSignals: true,
    // Longer than the test: what runs, runs because it was notified.
    pollInterval: 60_000,
    taskList: { count: async payload => done((payload as { n: number }).n), other: async () => undefined },
  })
  const listeners = () =>
    database.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database() and state = 'idle' and query like 'LISTEN%'`,
    )
  await expect.poll(listeners).toHaveLength(1)
  const [listener] = await listeners()
  await runner.addJob('count', { n: 1 })
  await expect.poll(() => done.mock.calls).toEqual([[1]])

  await database.killBackends([listener?.pid as number])
  await expect.poll(listeners).toHaveLength(1)
  await runner.addJob('count', { n: 2 })
  await expect.poll(() => done.mock.calls).toEqual([[1], [2]])
  await runner.stop()
})
