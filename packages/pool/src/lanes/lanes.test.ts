/** Queries that share a connection, on a real server: each gets its own answer, whatever happens to the others. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { eventually, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { leisurelyClock } from '../../test/leisurely-clock.js'
import { next, times, usePool, within } from '../../test/pool-kit.js'
import { learn, ROW, row, shared, useSquares, WRITE } from '../../test/sharing-kit.js'

const database = useSquares()
const { sharing } = database

describe('queries that are known to be quick', () => {
  it('share connections, and each gets its own row', async () => {
    const pool = await sharing({ max: 2 })
    const before = shared(pool)
    const rows = await Promise.all(Array.from({ length: 500 }, (_, i) => row(pool, i + 1)))
    expect(rows).toEqual(Array.from({ length: 500 }, (_, i) => ({ n: i + 1, square: (i + 1) ** 2 })))
    expect(shared(pool) - before).toBe(500)
    expect(pool.stats().acquired).toBeLessThan(500)
  })

  it('leave their connection idle when the last one is answered', async () => {
    const pool = await sharing()
    await Promise.all([row(pool, 1), row(pool, 2), row(pool, 3)])
    expect(pool.stats()).toMatchObject({ leased: 0, pending: 0, lanes: { open: 0, running: 0 } })
  })

  it('answer in every form that a query may have', async () => {
    const pool = await sharing({}, `select n from squares where n = 7`)
    const types = { getTypeParser: () => (value: string) => `<${value}>` } as unknown as pg.CustomTypesConfig
    const before = shared(pool)
    const results = await Promise.all([
      pool.query({ text: ROW, values: [3], rowMode: 'array' }),
      pool.query({ text: ROW, values: [3], types }),
      pool.query({ text: ROW, name: 'mine' }, [3]),
      pool.query('select n from squares where n = 7'),
      pool.query({ text: ROW, values: [3], binary: true } as pg.QueryConfig),
      new Promise<pg.QueryResult>((resolve, reject) => {
        pool.query(ROW, [3], (error, result) => (error ? reject(error) : resolve(result)))
      }),
    ])
    expect(results.map(({ rows }) => rows[0])).toEqual([
      [3, 9],
      { n: '<3>', square: '<9>' },
      { n: 3, square: 9 },
      { n: 7 },
      { n: 3, square: 9 },
      { n: 3, square: 9 },
    ])
    expect(results[0]).toBeInstanceOf(pg.Result)
    expect(results[0]).toMatchObject({ command: 'SELECT', rowCount: 1, fields: [{ name: 'n' }, { name: 'square' }] })
    expect(shared(pool) - before).toBe(6)
  })

  it('are told of one by one, as if each had a connection of its own', async () => {
    const pool = await sharing()
    const seen: string[] = []
    pool.on('acquire', () => seen.push('acquire'))
    pool.on('release', () => seen.push('release'))
    await Promise.all([row(pool, 1), row(pool, 2)])
    expect(seen.toSorted()).toEqual(['acquire', 'acquire', 'release', 'release'])
  })

  it('run in the settings that a listener of acquire makes for each', async () => {
    const pool = await sharing({ max: 1 })
    const caller = new AsyncLocalStorage<string>()
    pool.on('acquire', client => void client.query(`set application_name = '${caller.getStore()}'`))
    await learn(pool, "select current_setting('application_name') as name")
    const names = await Promise.all(
      ['ann', 'bob', 'cy'].map(name =>
        caller.run(name, async () => (await pool.query("select current_setting('application_name') as name")).rows[0]),
      ),
    )
    expect(names).toEqual([{ name: 'ann' }, { name: 'bob' }, { name: 'cy' }])
  })

  it('have their callbacks and listeners called in the context of their caller', async () => {
    const pool = await sharing()
    const caller = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    pool.on('acquire', () => seen.push(`acquire ${caller.getStore()}`))
    pool.on('release', () => seen.push(`release ${caller.getStore()}`))
    const ask = (name: string): Promise<void> =>
      caller.run(
        name,
        () =>
          new Promise(resolve => {
            pool.query(ROW, [1], () => {
              seen.push(`callback ${caller.getStore()}`)
              resolve()
            })
          }),
      )
    await Promise.all([ask('ann'), ask('bob')])
    expect(seen.toSorted()).toEqual(
      ['acquire', 'callback', 'release'].flatMap(event => [`${event} ann`, `${event} bob`]),
    )
  })
})

describe('what does not share', () => {
  it.each([
    ['what is not known yet', 'select 1 as fresh'],
    ['several statements', 'select 1 as one; select 2 as two'],
    ['other commands', "set application_name = 'x'"],
    ['session locks', 'select pg_try_advisory_lock(1)'],
    ['a row at a time', { text: ROW, values: [1], rows: 1 }],
  ])('%s', async (_, query) => {
    const pool = await sharing()
    const before = shared(pool)
    await pool.query(query as string)
    if (query !== 'select 1 as fresh') for (let again = 0; again < 3; again++) await pool.query(query as string)
    expect(shared(pool)).toBe(before)
  })

  it('a statement that is slow, and it goes on while others share', async () => {
    const pool = await sharing()
    const slow = pool.query('select pg_sleep(1)')
    await database.waitUntilRunning(1)
    expect(await within(250, row(pool, 2))).toEqual({ n: 2, square: 4 })
    expect(await within(0, slow)).toBe('pending')
    await slow
    const before = shared(pool)
    await pool.query('select pg_sleep(0.01)')
    expect(shared(pool)).toBe(before)
  })

  it('anything with pipeline: false, or where a failed query costs its connection', async () => {
    for (const options of [{ pipeline: false }, { onQueryError: 'destroy' }] as const) {
      const pool = database.pool(options)
      await Promise.all(Array.from({ length: 20 }, (_, i) => row(pool, i + 1)))
      expect(pool.stats().lanes).toBeUndefined()
    }
  })

  it('anything over a client of another class', () => {
    class Client extends pg.Client {}
    expect(database.pool({ Client }).stats().lanes).toBeUndefined()
  })
})

describe('an error in the middle', () => {
  it('of the server reaches its own caller alone', async () => {
    const divide = 'select 10 / $1::int as result'
    const pool = await sharing({ max: 1 }, { text: divide, values: [2] })
    const outcomes = await Promise.all(
      [5, 0, 2, 0, 1].map(n =>
        pool.query(divide, [n]).then(
          ({ rows }) => rows[0],
          error => error.code,
        ),
      ),
    )
    expect(outcomes).toEqual([{ result: 2 }, '22012', { result: 5 }, '22012', { result: 10 }])
    expect(pool.stats()).toMatchObject({ created: 1, idle: 1, lost: 0 })
  })

  it('of a write undoes that write alone', async () => {
    const pool = await sharing({ max: 1 }, { text: WRITE, values: [900, 0] })
    await Promise.all([
      pool.query(WRITE, [901, 1]),
      expect(pool.query(WRITE, [902, 13])).rejects.toMatchObject({ code: '23514' }),
      pool.query(WRITE, [903, 3]),
    ])
    const { rows } = await pool.query('select n, square from squares where n between 901 and 903 order by n')
    expect(rows).toEqual([
      { n: 901, square: 1 },
      { n: 902, square: 902 ** 2 },
      { n: 903, square: 3 },
    ])
  })

  it('of the client reaches its own caller alone: values that cannot be written, rows that cannot be read', async () => {
    const pool = await sharing({ max: 1 })
    const unwritable = { toPostgres: () => raise() }
    const unreadable = { getTypeParser: () => raise } as unknown as pg.CustomTypesConfig
    for (let round = 0; round < 3; round++) {
      const outcomes = await Promise.all([
        row(pool, 4),
        pool.query(ROW, [unwritable]).catch(error => error.message),
        row(pool, 5),
        pool.query({ text: ROW, values: [6], types: unreadable }).catch(error => error.message),
        row(pool, 7),
      ])
      expect(outcomes).toEqual([{ n: 4, square: 16 }, 'mine', { n: 5, square: 25 }, 'mine', { n: 7, square: 49 }])
    }
    expect(pool.stats()).toMatchObject({ created: 1, lost: 0 })
  })

  it('has the stack of its caller', async () => {
    const divide = 'select 10 / $1::int as result'
    const pool = await sharing({}, { text: divide, values: [2] })
    async function callerOfQuery(): Promise<void> {
      await pool.query(divide, [0])
    }
    const error = await callerOfQuery().catch(error => error)
    expect(error).toBeInstanceOf(pg.DatabaseError)
    expect(error.stack).toContain('callerOfQuery')
  })
})

describe('a transaction that somebody begins on a client that is not his any more', () => {
  it('does not swallow the queries of others: they fail, or are run again', async () => {
    const pool = await sharing({ max: 1 }, { text: WRITE, values: [910, 0] })
    const client = await pool.connect()
    client.release()
    const reading = row(pool, 1)
    void client.query('begin').catch(() => undefined)
    const writing = pool.query(WRITE, [911, 0]).catch(error => error)
    expect(await reading).toEqual({ n: 1, square: 1 })
    expect(await writing).toMatchObject({ kind: 'failed', code: 'POOL_CONNECTION_TAINTED', mayHaveRun: true })
    expect(await row(pool, 911)).toEqual({ n: 911, square: 911 ** 2 })
  })
})

describe('connections for one user alone', () => {
  it('are not kept from those who connect, however many share', async () => {
    const pool = await sharing({ max: 1 })
    let isOver = false
    const busy = times(50, async () => {
      while (!isOver) await row(pool, 5)
    })
    for (let round = 0; round < 5; round++) {
      const client = await pool.connect()
      await client.query('begin')
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      await client.query('commit')
      client.release()
    }
    isOver = true
    for (const outcome of await busy) expect(outcome).toBeUndefined()
    expect(pool.stats()).toMatchObject({ created: 1, leftInTransaction: 0 })
  })

  it('do not keep those who share from being served', async () => {
    const pool = await sharing({ max: 1 })
    let isOver = false
    const busy = times(50, async () => {
      while (!isOver) await pool.query('select pg_sleep(0.1)')
    })
    // Each has a turn when one of the fifty is through, not when all are: that would take five seconds.
    for (let round = 0; round < 3; round++) expect(await within(1_500, row(pool, 5))).toEqual({ n: 5, square: 25 })
    isOver = true
    await busy
  })

  it('are as clean as they would be after a query alone', async () => {
    const pool = await sharing({ max: 1 })
    await Promise.all([row(pool, 1), row(pool, 2)])
    const client = await pool.connect()
    expect(client).toMatchObject({ pipeline: false })
    expect(client.getTransactionStatus()).toBe('I')
    client.release()
  })

  it('pipeline if pg was told that clients do', async () => {
    const pool = await sharing({ max: 1, pipeline: true })
    await Promise.all([row(pool, 1), row(pool, 2)])
    const client = await pool.connect()
    expect(client).toMatchObject({ pipeline: true })
    client.release()
  })
})

describe('limits of connections', () => {
  it('hold for queries that share: each counts as a use', async () => {
    const pool = await sharing({ max: 1, maxUses: 10 })
    const before = pool.stats().created
    for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 6 }, (_, i) => row(pool, i + 1)))
    expect(pool.stats().created - before).toBeGreaterThanOrEqual(2)
    expect(pool.stats().created - before).toBeLessThanOrEqual(5)
  })

  it('hold under load that never pauses: a lifetime ends', async () => {
    const pool = await sharing({ max: 1, maxLifetimeSeconds: 0.1 })
    let isOver = false
    const busy = times(20, async () => {
      while (!isOver) await row(pool, 5)
    })
    await eventually(() => expect(pool.stats().retired.lifetime).toBeGreaterThan(1))
    isOver = true
    for (const outcome of await busy) expect(outcome).toBeUndefined()
  })
})

describe('the end of the pool', () => {
  it('waits for what is under way', async () => {
    const pool = await sharing()
    const rows = Promise.all(Array.from({ length: 200 }, (_, i) => row(pool, i + 1)))
    const ended = pool.end()
    expect(await rows).toHaveLength(200)
    await ended
    // One that was still being opened is given up, and its backend finds that out by itself.
    await eventually(async () => expect(await database.backends()).toEqual([]))
  })

  it('settles all that is under way when there is no time, and leaves no backend', async () => {
    const pool = await sharing()
    const outcomes = times(300, () => row(pool, 5))
    await pool.dispose({ deadline: 0 })
    for (const outcome of await outcomes) {
      if (outcome instanceof Error) expect(outcome.message).not.toBe('')
      else expect(outcome).toEqual({ n: 5, square: 25 })
    }
    await eventually(async () => expect(await database.backends()).toEqual([]))
  })
})

it('goes on over a slow network as over a quick one', async () => {
  const proxy = await startProxy(testPostgres())
  onTestFinished(() => proxy.close())
  proxy.setLatency(20)
  const pool = usePool({ connectionString: proxy.url(database.url), max: 2, clock: leisurelyClock })
  await learn(pool, { text: ROW, values: [1] })
  const startedAt = performance.now()
  const rows = await Promise.all(Array.from({ length: 500 }, (_, i) => row(pool, i + 1)))
  expect(rows[99]).toEqual({ n: 100, square: 10_000 })
  // Five hundred round trips over two connections would take five seconds.
  expect(performance.now() - startedAt).toBeLessThan(3_000)
})

it('takes a new connection for those who wait when all were lost', async () => {
  const pool = await sharing()
  await Promise.all([row(pool, 1), row(pool, 2)])
  const removed = next(pool, 'remove')
  await database.killBackends(await database.backends())
  await removed
  expect(await Promise.all([row(pool, 1), row(pool, 2)])).toEqual([
    { n: 1, square: 1 },
    { n: 2, square: 4 },
  ])
})

function raise(): never {
  throw new Error('mine')
}
