/** The columns of a result, which the server describes once for each statement that a connection has prepared. */

import type pg from 'pg'
import { describe, expect, it } from 'vitest'
import { leisurelyClock } from '../../test/leisurely-clock.js'
import { usePgbouncer, usePool } from '../../test/pool-kit.js'
import { learn, ROW, useSquares } from '../../test/sharing-kit.js'
import type { Pool } from '../pool.js'
import type { PoolConfig } from '../pool-options.js'

const database = useSquares()

interface Described {
  readonly pool: Pool
  /** How often the server has described a result to it. */
  times(): number
}

function counted(pool: Pool): Described {
  let times = 0
  pool.on('connect', client => {
    const { connection } = client as unknown as { connection: NodeJS.EventEmitter }
    connection.on('rowDescription', () => times++)
  })
  return { pool, times: () => times }
}

/** A pool of one connection that has run these queries often enough to share and to have them described. */
async function knowing(queries: pg.QueryConfig[], options?: PoolConfig): Promise<Described> {
  const described = counted(database.pool({ max: 1, clock: leisurelyClock, ...options }))
  await learn(described.pool, ...queries.flatMap(query => [query, query, query]))
  return described
}

describe.each([
  ['of the pool', {}],
  ['of the application', { name: 'mine' }],
])('a statement with a name %s', (_, named) => {
  const read = { text: ROW, values: [7], ...named }

  it('is described no more, and answered as before', async () => {
    const { pool, times } = await knowing([read])
    const before = times()
    const [{ rows, fields, command, rowCount }, second] = await Promise.all([pool.query(read), pool.query(read)])
    expect(times()).toBe(before)
    expect(rows).toEqual([{ n: 7, square: 49 }])
    const { rows: _rows, ...stock } = await database.stockPool().query(read)
    expect({ fields, command, rowCount }).toEqual({
      fields: stock.fields,
      command: stock.command,
      rowCount: stock.rowCount,
    })
    fields.pop()
    expect(second.fields).toHaveLength(2)
    expect((await pool.query(read)).fields).toHaveLength(2)
  })

  it('is answered in the form that each caller wants', async () => {
    const { pool, times } = await knowing([read])
    const before = times()
    const [array, none, binary] = await Promise.all([
      pool.query({ ...read, rowMode: 'array' }),
      pool.query({ ...read, values: [0] }),
      pool.query({ ...read, binary: true } as pg.QueryConfig),
    ])
    expect(array.rows).toEqual([[7, 49]])
    expect(none).toMatchObject({ rows: [], rowCount: 0, fields: [{ name: 'n' }, { name: 'square' }] })
    expect(binary).toMatchObject({ rows: [{ n: 7, square: 49 }], fields: [{ format: 'binary' }, { format: 'binary' }] })
    // What comes in another format is described.
    expect(times()).toBe(before + 1)
    expect((await pool.query(read)).rows).toEqual([{ n: 7, square: 49 }])
  })

  it('is described as text, though it was asked for in binary first', async () => {
    const { pool } = await knowing([{ ...read, binary: true } as pg.QueryConfig])
    expect((await pool.query(read)).rows).toEqual([{ n: 7, square: 49 }])
  })

  it('is described anew once its table has changed', async () => {
    const table = `described${'name' in named ? '_by_name' : ''}`
    const all = { text: `select * from ${table}`, ...named }
    await database.stockPool().query(`create table ${table} as select 1 as one`)
    const { pool } = await knowing([all])
    await pool.query(`alter table ${table} rename one to uno`)
    expect((await pool.query(all)).rows).toEqual([{ uno: 1 }])
    await pool.query(`alter table ${table} alter uno type text`)
    expect((await pool.query(all)).rows).toEqual([{ uno: '1' }])
    expect((await pool.query(all)).rows).toEqual([{ uno: '1' }])
  })

  it('is described anew where the application has had it forgotten', async () => {
    const table = `forgotten${'name' in named ? '_by_name' : ''}`
    const all = { text: `select * from ${table}`, ...named }
    await database.stockPool().query(`create table ${table} as select 1 as one`)
    const { pool, times } = await knowing([all])
    const client = await pool.connect()
    await client.query(`alter table ${table} rename one to uno`)
    await client.query('discard all')
    const { connection } = client as unknown as { connection: { parsedStatements: object } }
    connection.parsedStatements = {}
    client.release()
    const before = times()
    const { rows, fields } = await pool.query(all)
    expect(rows).toEqual([{ uno: 1 }])
    // They are the caller's, to do with as he likes.
    fields.pop()
    expect(await pool.query(all)).toMatchObject({ rows, fields: [{ name: 'uno' }] })
    expect(times()).toBe(before + 1)
  })

  it('is described each time where the backend may be another one', async () => {
    const { pool, times } = await knowing([read], {
      // As a pooler does, which has process ids of its own.
      onConnect: async client => void Object.assign(client, { processID: 1 }),
    })
    const before = times()
    expect(await Promise.all([pool.query(read), pool.query(read)])).toMatchObject([{ rowCount: 1 }, { rowCount: 1 }])
    expect(times()).toBe(before + 2)
  })
})

it('results are parsed as the application has it, and described no more', async () => {
  const types = { getTypeParser: () => (value: string) => `<${value}>` } as unknown as pg.CustomTypesConfig
  const read = { text: ROW, values: [7] }
  const { pool, times } = await knowing([read], { types } as PoolConfig)
  const before = times()
  expect((await pool.query(read)).rows).toEqual([{ n: '<7>', square: '<49>' }])
  expect(times()).toBe(before)
})

it('what returns no rows is not asked about either', async () => {
  const write = { text: 'update squares set square = $2 where n = $1', values: [999, 998_001] }
  const returning = { text: `${write.text} returning n`, values: [999, 998_001] }
  const { pool, times } = await knowing([write, returning])
  const before = times()
  expect(await pool.query(write)).toMatchObject({ command: 'UPDATE', rowCount: 1, rows: [], fields: [] })
  expect(await pool.query(returning)).toMatchObject({ command: 'UPDATE', rowCount: 1, rows: [{ n: 999 }] })
  expect(times()).toBe(before)
})

describe('behind PgBouncer', () => {
  const bouncer = usePgbouncer()

  it('every result is described', async context => {
    const connectionString = bouncer.url(database.url)
    if (!connectionString) return context.skip(bouncer.why)
    const { pool, times } = counted(usePool({ connectionString, max: 1, clock: leisurelyClock }))
    await learn(pool, { text: ROW, values: [1] })
    const before = times()
    const results = await Promise.all([1, 2, 3].map(n => pool.query(ROW, [n])))
    expect(results.map(({ rows }) => rows[0].square)).toEqual([1, 4, 9])
    expect(times()).toBeGreaterThanOrEqual(before + 3)
  })
})
