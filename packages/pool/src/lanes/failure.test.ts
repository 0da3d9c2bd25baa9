/** Lanes that break: who waits in them hears the truth, and is served otherwise where that is safe. */

import { createHash } from 'node:crypto'
import { Socket } from 'node:net'
import { eventually, type FaultProxy, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import type pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { leisurelyClock, nearlyStillClock } from '../../test/leisurely-clock.js'
import { times, usePool, within } from '../../test/pool-kit.js'
import { learn, ROW, row, useSquares, WRITE } from '../../test/sharing-kit.js'
import type { Pool } from '../pool.js'
import type { PoolEvent } from '../pool-events.js'
import type { PoolConfig } from '../pool-options.js'

const database = useSquares()
const { sharing } = database
const write = { text: WRITE, values: [999, 0] }

/** Keeps the process busy. */
function burn(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

/** A client that holds the lock of a row until it is told to commit. */
async function lock(pool: Pool, n: number) {
  const client = await pool.connect()
  await client.query('begin')
  await client.query('update squares set square = square where n = $1', [n])
  return {
    async commit() {
      await client.query('commit')
      client.release()
    },
  }
}

/** The backend that waits for a lock. */
async function waiter(): Promise<number> {
  const [pid] = await database.waitingForLocks()
  return pid as number
}

async function throughProxy(options?: PoolConfig): Promise<{ proxy: FaultProxy; pool: Pool }> {
  const proxy = await startProxy(testPostgres())
  onTestFinished(() => proxy.close())
  const pool = usePool({ connectionString: proxy.url(database.url), max: 2, clock: leisurelyClock, ...options })
  await learn(pool, { text: ROW, values: [1] }, write)
  return { proxy, pool }
}

/** As the server has it. */
async function squareOf(n: number): Promise<number> {
  return (await database.stockPool().query(ROW, [n])).rows[0].square
}

describe('a backend that is killed', () => {
  it('fails the write it was at; what it had not read is run elsewhere', async () => {
    const pool = await sharing({ clock: nearlyStillClock }, write)
    const held = await lock(pool, 100)
    const first = pool.query(WRITE, [100, 1]).catch(error => error)
    const behind = Promise.all([row(pool, 2), pool.query(WRITE, [101, 1]), row(pool, 3)])
    await database.killBackends([await waiter()])
    expect(await first).toMatchObject({ code: '57P01', mayHaveRun: true })
    expect(await behind).toMatchObject([{ square: 4 }, { rowCount: 1 }, { square: 9 }])
    await held.commit()
    expect(await Promise.all([row(pool, 100), row(pool, 101)])).toMatchObject([{ square: 10_000 }, { square: 1 }])
    expect(pool.stats()).toMatchObject({ retried: 3, lost: 1, leased: 0 })
  })

  it('before a connection that is shared for the first time has answered anything, fails nobody', async () => {
    const { proxy, pool } = await throughProxy({ max: 1 })
    // The next connection has had no query yet, while the statement is known to be quick.
    ;(await pool.connect()).release(true)
    const client = await pool.connect()
    const { processID } = client as unknown as { processID: number }
    client.release()
    const before = await squareOf(997)
    proxy.setLatency(1_000)
    const writes = [1, 2, 3].map(() => pool.query(WRITE, [997, before]))
    expect(pool.stats().lanes).toMatchObject({ open: 1, running: 3 })
    await database.killBackends([processID])
    proxy.setLatency(0)
    expect((await Promise.all(writes)).map(({ rowCount }) => rowCount)).toEqual([1, 1, 1])
  })

  it('costs no caller a read, as far as the budget goes', async () => {
    const pool = await sharing({ clock: nearlyStillClock }, write)
    const held = await lock(pool, 102)
    const first = pool.query(WRITE, [102, 1]).catch(error => error)
    const behind = times(40, () => row(pool, 4))
    await database.killBackends([await waiter()])
    await first
    const outcomes = await behind
    const { retried } = pool.stats()
    const failed = outcomes.filter(each => each instanceof Error)
    expect(retried).toBeGreaterThanOrEqual(3)
    expect(outcomes.length - failed.length).toBe(retried)
    for (const error of failed) expect(error).toMatchObject({ mayHaveRun: false })
    // Each has an error of his own: what one does with it is nobody else's business.
    expect(new Set(failed).size).toBe(failed.length)
    await held.commit()
  })
})

describe('a connection that is cut', () => {
  it('fails writes that may have run, and says so; reads are sent again', async () => {
    const { proxy, pool } = await throughProxy()
    proxy.setLatency(100)
    const writing = pool.query(WRITE, [110, 1]).catch(error => error)
    const reading = row(pool, 2)
    setTimeout(() => proxy.cut(), 20)
    expect(await writing).toMatchObject({ mayHaveRun: true })
    expect(await reading).toEqual({ n: 2, square: 4 })
  })

  it('when a write has run and its answer is on the way, fails it and does not run it again', async () => {
    const count = { text: 'update squares set square = square + 1 where n = $1', values: [114] }
    const { proxy, pool } = await throughProxy()
    await learn(pool, count)
    const before = await squareOf(114)
    proxy.setLatency(1_000)
    const writing = pool.query(count).catch(error => error)
    await eventually(async () => expect(await squareOf(114)).toBe(before + 1))
    proxy.cut()
    await proxy.heal()
    expect(await writing).toMatchObject({ mayHaveRun: true })
    await row(pool, 2)
    expect(await squareOf(114)).toBe(before + 1)
  })

  it('before the query leaves, costs nobody anything', async () => {
    const { proxy, pool } = await throughProxy()
    proxy.cut()
    expect(await pool.query(WRITE, [111, 1])).toMatchObject({ rowCount: 1 })
    expect(pool.stats()).toMatchObject({ retried: 1 })
  })

  it('without a word is found, and settles all', async () => {
    const { proxy, pool } = await throughProxy({ health: { deadAfter: 20, timeout: 500 } })
    proxy.halfOpen()
    await proxy.heal()
    const [writing, reading] = await Promise.all([
      within(5_000, pool.query(WRITE, [112, 1])),
      within(5_000, row(pool, 2)),
    ])
    expect(writing).toMatchObject({ code: 'POOL_CONNECTION_DEAD', mayHaveRun: true })
    expect(reading).toEqual({ n: 2, square: 4 })
  })
})

describe('a query that keeps others waiting', () => {
  it('is moved out of their way, so that nobody waits for himself', async () => {
    const pool = await sharing({ max: 3 }, write)
    const held = await lock(pool, 120)
    const blocked = pool.query(WRITE, [120, 7])
    // The holder of the lock wants to know something before he commits, and asks the pool.
    expect(await within(5_000, row(pool, 5))).toEqual({ n: 5, square: 25 })
    await held.commit()
    expect(await blocked).toMatchObject({ rowCount: 1 })
    expect(await row(pool, 120)).toEqual({ n: 120, square: 7 })
    // Its connection is free when the cancel request is over.
    await eventually(() => expect(pool.stats()).toMatchObject({ lanes: { moved: 1 }, leased: 0 }))
  })

  it('stays where it is if nobody waits behind it', async () => {
    const pool = await sharing({ max: 3 }, write)
    const held = await lock(pool, 121)
    const blocked = pool.query(WRITE, [121, 7])
    expect(await within(600, blocked)).toBe('pending')
    expect(await row(pool, 5)).toEqual({ n: 5, square: 25 })
    await held.commit()
    await blocked
    expect(pool.stats()).toMatchObject({ lanes: { moved: 0 }, created: 3 })
  })

  it('is not looked for in the time that this process takes to read a thousand answers', async () => {
    const sockets: Socket[] = []
    const stream = (): Socket => sockets[sockets.push(new Socket()) - 1] as Socket
    const pool = await sharing({ max: 2, stream })
    const caller = async (): Promise<void> => {
      for (let query = 0; query < 5; query++) {
        await row(pool, 7)
        // All of them together make a turn that is longer than a query may keep others waiting, by this clock as well.
        burn(1)
      }
    }
    await Promise.all(Array.from({ length: 300 }, caller))
    expect(pool.stats().lanes?.shared).toBeGreaterThan(1_000)
    // A cancel request has a socket of its own.
    const { created, creating } = pool.stats()
    expect(sockets).toHaveLength(created + creating)
  })

  it('runs once, however often it was hit', async () => {
    const count = { text: 'update squares set square = square + 1 where n = $1', values: [998] }
    const pool = await sharing({ max: 3 }, count)
    for (let round = 1; round <= 3; round++) {
      await learn(pool, count)
      const before = ((await row(pool, 122)) as { square: number }).square
      const held = await lock(pool, 122)
      const blocked = [1, 2, 3].map(() => pool.query({ ...count, values: [122] }))
      expect(await within(5_000, row(pool, 5))).toEqual({ n: 5, square: 25 })
      await held.commit()
      await Promise.all(blocked)
      expect(await row(pool, 122)).toEqual({ n: 122, square: before + 3 })
    }
  })
})

describe('a caller who goes', () => {
  it('by his signal hears its reason at once; his query is cancelled, and those behind it are answered', async () => {
    const pool = await sharing({ max: 3 }, write)
    const held = await lock(pool, 130)
    const controller = new AbortController()
    const left = pool.query({ text: WRITE, values: [130, 7], signal: controller.signal }).catch(error => error)
    const behind = row(pool, 6)
    await database.waitUntilRunning(1)
    const reason = new Error('no more')
    controller.abort(reason)
    expect(await within(50, left)).toBe(reason)
    expect(await within(5_000, behind)).toEqual({ n: 6, square: 36 })
    await held.commit()
    await database.waitUntilRunning(0)
    expect(await row(pool, 130)).toEqual({ n: 130, square: 16_900 })
  })

  it('while others are before him does not disturb them, and his result is nobody else’s', async () => {
    const pool = await sharing({ max: 1 })
    const controller = new AbortController()
    const before = row(pool, 7)
    const left = pool.query({ text: ROW, values: [8], signal: controller.signal }).catch(error => error)
    const behind = row(pool, 9)
    controller.abort('left')
    expect(await Promise.all([before, left, behind])).toEqual([{ n: 7, square: 49 }, 'left', { n: 9, square: 81 }])
    expect(pool.stats()).toMatchObject({ created: 1, leased: 0 })
  })

  it('by query_timeout hears of it in the words of pg, and nobody else does', async () => {
    const pool = await sharing({ max: 3, query_timeout: 300 }, write)
    const held = await lock(pool, 131)
    const late = pool.query(WRITE, [131, 7]).catch(error => error)
    expect(await late).toMatchObject({ message: 'Query read timeout', mayHaveRun: true })
    await database.waitUntilRunning(0)
    await held.commit()
    expect(await row(pool, 131)).toEqual({ n: 131, square: 131 ** 2 })
    const soon = pool.query({ text: ROW, values: [9], query_timeout: 60_000 } as pg.QueryConfig)
    expect((await soon).rows).toEqual([{ n: 9, square: 81 }])
  })
})

describe('prepared statements', () => {
  const prepared = "select count(*)::int as count from pg_prepared_statements where name like 'bw_%'"

  it('are named by their text, and used again', async () => {
    const pool = await sharing({ max: 1 })
    for (let round = 0; round < 5; round++) await Promise.all([row(pool, 1), row(pool, 2)])
    const client = await pool.connect()
    expect((await client.query(prepared)).rows).toEqual([{ count: 1 }])
    client.release()
  })

  it('are no more than a connection should have to remember', async () => {
    const pool = await sharing({ max: 1 }, 'select 1 as n')
    for (let round = 0; round < 3; round++) {
      const results = await Promise.all(Array.from({ length: 400 }, (_, n) => pool.query(`select ${n} as n`)))
      expect(results.map(({ rows }) => rows[0].n)).toEqual(Array.from({ length: 400 }, (_, n) => n))
    }
    const client = await pool.connect()
    const [{ count }] = (await client.query(prepared)).rows
    expect(count).toBeGreaterThan(100)
    expect(count).toBeLessThanOrEqual(256)
    client.release()
    // None was taken for there when it was not.
    expect(pool.stats().lanes).toMatchObject({ names: true, moved: 0 })
  })

  it('that the application has discarded are prepared again, and no caller notices', async () => {
    const pool = await sharing({ max: 1 })
    await row(pool, 1)
    for (let round = 0; round < 2; round++) {
      const client = await pool.connect()
      await client.query('discard all')
      client.release()
      const rows = await Promise.all([row(pool, 1), row(pool, 2), row(pool, 3)])
      expect(rows).toMatchObject([{ square: 1 }, { square: 4 }, { square: 9 }])
    }
    expect(pool.stats().lanes).toMatchObject({ names: true })
  })

  it('that get lost again and again are not prepared any more', async () => {
    const pool = await sharing({ max: 1 })
    const events: PoolEvent[] = []
    pool.observe(event => events.push(event))
    for (let round = 0; round < 4; round++) {
      await Promise.all([row(pool, 1), row(pool, 2)])
      const client = await pool.connect()
      await client.query('discard all')
      client.release()
      expect(await Promise.all([row(pool, 1), row(pool, 2)])).toMatchObject([{ square: 1 }, { square: 4 }])
    }
    expect(pool.stats().lanes).toMatchObject({ names: false })
    expect(events).toContainEqual({ type: 'names-off', pool: 'postgres', code: '26000' })
  })

  it('are not used where there is one of that name already, as behind a pooler', async () => {
    const name = `bw_${createHash('sha256').update(ROW).digest('base64url').slice(0, 22)}`
    const pool = await sharing({
      max: 1,
      onConnect: async client => void (await client.query(`prepare "${name}" as select 1 as other`)),
    })
    const rows = await Promise.all([row(pool, 1), row(pool, 2), row(pool, 3)])
    expect(rows).toMatchObject([{ square: 1 }, { square: 4 }, { square: 9 }])
    expect(pool.stats().lanes).toMatchObject({ names: false })
  })

  it.each([[{}], [{ name: 'mine' }]])('%o whose table has changed are prepared anew', async named => {
    const table = `changing${'name' in named ? 1 : 0}`
    const all = { text: `select * from ${table}`, ...named }
    const pool = database.pool({ max: 1, clock: leisurelyClock })
    await pool.query(`create table ${table} as select 1 as one`)
    await learn(pool, all, all)
    await pool.query(`alter table ${table} add two int default 2`)
    const results = await Promise.all([pool.query(all), pool.query(all)])
    expect(results.map(({ rows }) => rows)).toEqual([[{ one: 1, two: 2 }], [{ one: 1, two: 2 }]])
  })

  it('that cannot be parsed fail with the same error for all who asked', async () => {
    const text = "select 'a'::int as n"
    const pool = await sharing({ max: 1 }, "select '1'::int as n")
    const codes = await Promise.all(Array.from({ length: 9 }, () => pool.query(text).catch(error => error.code)))
    expect(new Set(codes)).toEqual(new Set(['22P02']))
    expect(pool.stats().lanes).toMatchObject({ names: true })
  })
})
