/** Guards over a real table: transactions that are open when a filter is built, and writers that know nothing of it. */

import { bloomGuard } from '@breakwater/cache'
import { type Database, eventually } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createDataAccess, type DataAccess } from '../data-access.js'
import { guardFeed } from './guard-feed.js'
import { guardFeedSql } from './guard-feed-sql.js'

async function items(): Promise<Database> {
  const database = await testPostgres().createDatabase()
  onTestFinished(() => database.drop())
  await database.query('create table items (id bigint primary key)')
  await database.query('insert into items select generate_series(1, 100)')
  return database
}

async function plainClient(database: Database): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

interface Opened {
  readonly data: DataAccess
  readonly space: ReturnType<typeof spaceOf>
}

function spaceOf(data: DataAccess) {
  return data.cache.space<object, string>('item', {
    ttl: '1m',
    absentTtl: '1m',
    load: async id => (await data.pool.query<object>('select id from items where id = $1', [id])).rows[0] ?? null,
    guard: bloomGuard({
      expected: 1_000,
      errorRate: 0.0001,
      async *scan() {
        for (const { id } of (await data.pool.query<{ id: string }>('select id from items')).rows) yield id
      },
    }),
  })
}

function open(database: Database, name: string): Opened {
  const data = createDataAccess({
    postgres: { connectionString: database.url, max: 4 },
    redis: { url: testRedis().url },
    cache: { namespace: name, redisTimeout: '5s' },
  })
  onTestFinished(() => data.dispose({ deadline: '2s' }))
  return { data, space: spaceOf(data) }
}

const namespace = (): string => `t-${Math.random().toString(36).slice(2)}`

describe('a guard that is built for the first time', () => {
  it('waits for a transaction that had begun, though no snapshot shows it yet', async () => {
    const database = await items()
    const { data, space } = open(database, namespace())
    const writer = await plainClient(database)
    // Its add finds nothing to be recorded in.
    await writer.query('begin')
    let ready = false
    const init = data.init().then(() => {
      ready = true
    })
    await eventually(() => expect(space.guard?.state).toBe('building'))
    await new Promise(resolve => setTimeout(resolve, 500))
    expect(ready).toBe(false)
    await writer.query('insert into items values (777)')
    await writer.query('commit')
    await init
    expect(await space.get('777')).toEqual({ id: '777' })
    expect(await space.get('5000')).toBeNull()
    expect(space.stats.guarded).toBe(1)
  })
})

describe('guardFeed', () => {
  it('tells every guard of rows that a plain client inserts, copies or renames', async () => {
    const database = await items()
    await database.query(guardFeedSql({ table: 'public.items', key: 'id', space: 'item' }))
    const name = namespace()
    const [fed, other] = [open(database, name), open(database, name)]
    fed.data.add(guardFeed({ pool: fed.data.pool, spaces: [fed.space] }))
    await Promise.all([fed.data.init(), other.data.init()])
    const writer = await plainClient(database)
    await writer.query('insert into items select generate_series(1001, 1700)')
    await writer.query('update items set id = 2000 where id = 1')
    await eventually(async () => {
      for (const id of ['1001', '1700', '2000']) {
        expect(await other.space.guard?.mayContain(id)).toBe(true)
        expect(await fed.space.guard?.mayContain(id)).toBe(true)
      }
    })
    expect(await other.space.guard?.mayContain('5000')).toBe(false)
    await eventually(async () => expect(await database.query('select from breakwater_guard_feed')).toEqual([]))
  })

  it('takes nothing of what is rolled back, and leaves to others what it may not take', async () => {
    const database = await items()
    await database.query(guardFeedSql({ table: 'items', key: 'id', space: 'another' }))
    const { data, space } = open(database, namespace())
    data.add(guardFeed({ pool: data.pool, spaces: [space] }))
    const writer = await plainClient(database)
    await writer.query('insert into items values (3000)')
    await writer.query('begin; insert into items values (3001); rollback')
    await data.init()
    expect(await database.query('select space, key from breakwater_guard_feed')).toEqual([
      { space: 'another', key: '3000' },
    ])
  })

  it('opens its guards while its connection is gone, and catches up', async () => {
    const database = await items()
    await database.query(guardFeedSql({ table: 'items', key: 'id', space: 'item' }))
    const { data, space } = open(database, namespace())
    data.add(guardFeed({ pool: data.pool, spaces: [space] }))
    await data.init()
    expect(await space.guard?.mayContain('777')).toBe(false)
    await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where query like '%breakwater_guard_feed%' and pid <> pg_backend_pid() and datname = current_database()`,
    )
    const writer = await plainClient(database)
    await writer.query('insert into items values (777)')
    await eventually(() => expect(space.guard?.stats.openings).toBeGreaterThan(0))
    await eventually(async () => {
      expect(await space.guard?.mayContain('777')).toBe(true)
      expect(await space.guard?.mayContain('5000')).toBe(false)
    })
  })

  it('may be installed again, takes any name, and refuses what is none', async () => {
    const database = await items()
    await database.query('create schema "a b"; create table "a b"."it""s" ("the key" text primary key)')
    const sql = guardFeedSql({ table: 'a b.it"s', key: 'the key', space: 'item' })
    await database.query(sql)
    await database.query(sql)
    await database.query(`insert into "a b"."it""s" values ('x')`)
    expect(await database.query('select space, key from breakwater_guard_feed')).toEqual([{ space: 'item', key: 'x' }])
    expect(() => guardFeedSql({ table: 'a.b.c', key: 'id', space: 'item' })).toThrow('must be names')
  })
})
