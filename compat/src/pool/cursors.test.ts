/** pg-cursor and pg-query-stream on clients of our Pool: rows in portions, and a client that is whole afterwards. */

import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Pool } from '@breakwater/pool'
import type pg from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../kit/database.js'

const database = useDatabase()
const ROWS = 'select n from generate_series(1, $1::int) as n'

async function checkOut(): Promise<{ pool: Pool; client: pg.PoolClient }> {
  const pool = new Pool({ connectionString: database.url, max: 1 })
  onTestFinished(async () => {
    await pool.end()
    await database.expectNoConnection()
  })
  return { pool, client: await pool.connect() }
}

/** The pool has its one connection back, fit for work. */
async function expectWhole(pool: Pool): Promise<void> {
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect(pool.stats()).toMatchObject({ created: 1, idle: 1, leftInTransaction: 0 })
}

it('a cursor reads portions to the end', async () => {
  const { pool, client } = await checkOut()
  const cursor = client.query(new Cursor<{ n: number }>(ROWS, [5]))
  const portions: number[][] = []
  for (;;) {
    const rows = await cursor.read(2)
    portions.push(rows.map(({ n }) => n))
    if (rows.length === 0) break
  }
  expect(portions).toEqual([[1, 2], [3, 4], [5], []])
  client.release()
  await expectWhole(pool)
})

it('a cursor that is closed halfway leaves a client that runs other queries', async () => {
  const { pool, client } = await checkOut()
  const cursor = client.query(new Cursor(ROWS, [1_000]))
  expect(await cursor.read(3)).toHaveLength(3)
  await cursor.close()
  expect((await client.query('select 2 as two')).rows).toEqual([{ two: 2 }])
  client.release()
  await expectWhole(pool)
})

it('a cursor rejects with the error of the driver, inside a transaction too', async () => {
  const { pool, client } = await checkOut()
  await client.query('begin')
  const cursor = client.query(new Cursor('select 1 / (3 - n) from generate_series(1, 5) as n'))
  expect(await cursor.read(2)).toHaveLength(2)
  await expect(cursor.read(2)).rejects.toMatchObject({ code: '22012' })
  await client.query('rollback')
  client.release()
  await expectWhole(pool)
})

it('a stream is piped through to its end', async () => {
  const { pool, client } = await checkOut()
  let sum = 0
  const add = new Transform({
    objectMode: true,
    transform: ({ n }: { n: number }, _, done) => {
      sum += n
      done()
    },
  })
  await pipeline(client.query(new QueryStream(ROWS, [10_000], { batchSize: 500 })), add.resume())
  expect(sum).toBe(50_005_000)
  client.release()
  await expectWhole(pool)
})

it('a stream that its reader leaves gives up its portal', async () => {
  const { pool, client } = await checkOut()
  for await (const row of client.query(new QueryStream(ROWS, [10_000], { batchSize: 10 }))) {
    expect(row).toEqual({ n: 1 })
    break
  }
  expect((await client.query('select count(*)::int as open from pg_cursors')).rows).toEqual([{ open: 0 }])
  client.release()
  await expectWhole(pool)
})

it('a stream emits the error of the driver', async () => {
  const { pool, client } = await checkOut()
  const rows = client.query(new QueryStream('select bad'))
  await expect(rows.toArray()).rejects.toMatchObject({ code: '42703' })
  client.release()
  await expectWhole(pool)
})
