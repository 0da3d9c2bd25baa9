/** Backends that are killed, idle or in use: no crash, no error for a query that has not run, and only then a second try. */

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { buildProgram, eventually, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { next, times, useDatabase, usePool } from '../../test/pool-kit.js'
import type { Pool } from '../pool.js'
import type { PoolEvent } from '../pool-events.js'
import type { PoolConfig } from '../pool-options.js'

const database = useDatabase()
const program = await buildProgram(new URL('../../test/crash.fixture.ts', import.meta.url))

async function run(whose: 'pg' | 'ours'): Promise<{ code: number; stdout: string; stderr: string }> {
  const args = [...program.args, database.url, whose]
  return await promisify(execFile)(process.execPath, args, { timeout: 15_000 }).then(
    output => ({ ...output, code: 0 }),
    error => error,
  )
}

/** Long enough for an idle connection to be doubted, not for it to be asked. */
const rest = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 60))

describe('a backend that is killed while its client is checked out', () => {
  it('ends the process with pg.Pool, even if somebody listens for errors of the pool', async () => {
    const { code, stdout, stderr } = await run('pg')
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toContain("Unhandled 'error' event")
  })

  it('does not here', async () => {
    expect(await run('ours')).toMatchObject({ code: 0, stdout: 'went on\n' })
  })

  it('is counted, and the event names the backend and, with leakWarningAfter, the user', async () => {
    const pool = database.pool({ leakWarningAfter: '1h' })
    const events: PoolEvent[] = []
    pool.observe(event => events.push(event))
    async function userOfTheClient() {
      return await pool.connect()
    }
    const client = await userOfTheClient()
    const [processId] = await database.backends()
    await database.killBackends([processId as number])
    await eventually(() => expect(pool.stats()).toMatchObject({ lost: 1 }))
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'connection-lost',
        inUse: true,
        processId,
        acquiredAt: expect.stringContaining('userOfTheClient'),
      }),
    )
    client.release()
  })
})

function isProcess(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('backends that are killed while idle', () => {
  /** Opens five connections, lets them rest, and has them killed before the process comes to read of it. */
  async function killFive(pool: pg.Pool): Promise<void> {
    const clients = await Promise.all(Array.from({ length: 5 }, () => pool.connect()))
    for (const client of clients) client.release()
    await rest()
    const backends = await database.backends()
    const killer = new pg.Client(database.url)
    // The next round kills it, too.
    killer.on('error', () => undefined)
    await killer.connect()
    onTestFinished(() => killer.end())
    void killer.query('select pg_terminate_backend(pid) from unnest($1::int[]) pid', [backends])
    // On a machine that is busy it takes longer; a server elsewhere has no processes here.
    for (let waits = 0; waits < 25 && (waits === 0 || backends.some(isProcess)); waits++) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    }
  }

  it('cost callers of pg.Pool errors', async () => {
    const stock = database.stockPool({ max: 5 })
    const errors: unknown[] = []
    for (let round = 0; round < 5; round++) {
      await killFive(stock)
      errors.push(...(await times(5, () => stock.query('select 1'))).filter(each => each instanceof Error))
    }
    expect(errors.length).toBeGreaterThan(0)
  })

  it('cost nobody anything', async () => {
    const pool = database.pool({ max: 5, pipeline: false })
    for (let round = 0; round < 5; round++) {
      await killFive(pool)
      const answers = await times(5, () => pool.query('select 1 as one'))
      for (const answer of answers) expect(answer).toMatchObject({ rows: [{ one: 1 }] })
    }
    // Also those that, on a machine so busy that they were idle for long, heard of it when they were asked.
    await eventually(() => expect(pool.stats()).toMatchObject({ lost: 25, retired: { unhealthy: 25 } }))
  })

  it('are not handed to those who connect', async () => {
    const pool = database.pool({ max: 5 })
    await killFive(pool)
    const client = await pool.connect()
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    client.release()
  })
})

describe('the last word of a backend', () => {
  const ended = { type: 'connection-lost', error: expect.objectContaining({ code: '57P01' }) }

  function watched(options: PoolConfig): { pool: Pool; events: PoolEvent[] } {
    const pool = database.pool({ max: 1, ...options })
    const events: PoolEvent[] = []
    pool.observe(event => void (event.type === 'connection-lost' && events.push(event)))
    return { pool, events }
  }

  it('that is heard by the question whether it is still there is a loss like any other', async () => {
    const proxy = await startProxy(testPostgres())
    onTestFinished(() => proxy.close())
    const { pool, events } = watched({ connectionString: proxy.url(database.url), health: { idleWindow: 0 } })
    const told = next(pool, 'error')
    await pool.query('select 1')
    proxy.setLatency(600)
    await database.killBackends(await database.backends())
    // On its way to the client, as is the question on its way to the server.
    const answer = pool.query('select 1 as one')
    proxy.setLatency(0)
    expect(await answer).toMatchObject({ rows: [{ one: 1 }] })
    expect(events).toEqual([expect.objectContaining({ ...ended, inUse: false })])
    expect(pool.stats()).toMatchObject({ lost: 1, retired: { unhealthy: 1 } })
    expect(await told).toEqual([expect.objectContaining({ code: '57P01' }), expect.anything()])
  })

  it.each([
    ['one query', { pipeline: false }],
    ['one of those who share it', {}],
  ])('that is heard by %s is one, in use', async (_, options) => {
    const { pool, events } = watched({ max: 2, ...options })
    await pool.query('create table if not exists held (id int)')
    await pool.query('insert into held values (1)')
    const update = 'update held set id = 1'
    // By the second time it is known to be quick.
    for (let i = 0; i < 5; i++) await pool.query(update)
    const holder = await pool.connect()
    await holder.query('begin')
    await holder.query(update)
    const query = pool.query(update).catch(error => error)
    await database.killBackends(await database.waitingForLocks())
    expect(await query).toMatchObject({ code: '57P01', mayHaveRun: true })
    await holder.query('rollback')
    holder.release()
    expect(events).toEqual([expect.objectContaining({ ...ended, inUse: true })])
    await eventually(() => expect(pool.stats()).toMatchObject({ lost: 1, retired: { unhealthy: 1 } }))
  })

  it('that is heard by a user who gives his client back for it is one, in use', async () => {
    const { pool, events } = watched({})
    const client = await pool.connect()
    const heard = new Promise<Error>(resolve => {
      void client.query('select pg_sleep(60)', error => {
        client.release(error)
        resolve(error)
      })
    })
    await database.waitUntilRunning(1)
    await database.killBackends(await database.backends())
    expect(await heard).toMatchObject({ code: '57P01' })
    expect(events).toEqual([expect.objectContaining({ ...ended, inUse: true })])
    expect(pool.stats()).toMatchObject({ lost: 1, retired: { unhealthy: 1 } })
  })
})

describe('a query', () => {
  it('whose connection is reset before it leaves is tried once more, and counted', async () => {
    const proxy = await startProxy(testPostgres())
    onTestFinished(() => proxy.close())
    const pool = usePool({ connectionString: proxy.url(database.url), max: 1 })
    await pool.query('select 1')
    // Nobody has been told yet when the query is written.
    proxy.cut()
    expect((await pool.query('select 2 as two')).rows).toEqual([{ two: 2 }])
    expect(pool.stats()).toMatchObject({ retried: 1, created: 2 })
  })

  it('is tried no more once the budget is spent; its error says that it has not run', async () => {
    const proxy = await startProxy(testPostgres())
    onTestFinished(() => proxy.close())
    const pool = usePool({ connectionString: proxy.url(database.url), max: 1 })
    const errors: unknown[] = []
    for (let round = 0; round < 8; round++) {
      await pool.query('select 1').catch(error => errors.push(error))
      proxy.cut()
      await pool.query('select 1').catch(error => errors.push(error))
    }
    expect(pool.stats().retried).toBeGreaterThanOrEqual(3)
    expect(errors.length).toBeGreaterThan(0)
    expect(pool.stats().retried + errors.length).toBe(8)
    for (const error of errors) expect(error).toMatchObject({ syscall: 'write', mayHaveRun: false })
  })

  it('that was sent is not tried again; its error says that it may have run', async () => {
    const pool = database.pool({ max: 1 })
    await pool.query('create table effects (id int)')
    const insert = pool.query('with x as (insert into effects values (1)) select pg_sleep(60)').catch(error => error)
    await database.waitUntilRunning(1)
    await database.killBackends(await database.backends())
    expect(await insert).toMatchObject({ code: '57P01', mayHaveRun: true })
    expect(pool.stats()).toMatchObject({ retried: 0 })
  })

  it('that the server refuses for what it says has no such note', async () => {
    const error = await database
      .pool()
      .query('select bad')
      .catch(error => error)
    expect(error.code).toBe('42703')
    expect(error).not.toHaveProperty('mayHaveRun')
  })
})
