/** The two consumers that come with the package, on real servers: each message and each job once, whatever fails. */

import { Deadline, systemClock } from '@breakwater/kernel'
import { Pool } from '@breakwater/pool'
import { type Database, eventually, startProxy, startRedis } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Consumer } from '../lifecycle/component.js'
import { postgresQueueConsumer, redisStreamConsumer } from './index.js'

const context = (ms = 10_000, signal = new AbortController().signal) => ({
  signal,
  deadline: new Deadline(systemClock, ms),
  step: async <T>(_: string, fn: () => T): Promise<Awaited<T>> => await fn(),
})

async function end(consumer: Consumer): Promise<void> {
  for (const hook of ['pause', 'finish', 'commit', 'disconnect'] as const) await consumer[hook]?.(context())
}

describe('a consumer of a Redis stream', () => {
  let redis: Redis
  let stream: string
  let count = 0

  const make = (options: Partial<Parameters<typeof redisStreamConsumer>[0]> = {}): Consumer => {
    return redisStreamConsumer({ redis, stream, group: 'g', block: 50, handle: () => {}, ...options } as never)
  }
  const pending = async (): Promise<number> => ((await redis.xpending(stream, 'g')) as [number])[0]

  beforeAll(async () => {
    redis = new Redis(testRedis().url, { enableOfflineQueue: false, lazyConnect: true })
    await redis.connect()
  })
  afterAll(() => void redis.disconnect())

  async function filled(n: number): Promise<void> {
    stream = `consumers-${process.pid}-${++count}`
    for (let i = 0; i < n; i++) await redis.xadd(stream, '*', 'n', `${i}`)
  }

  it('handles every entry once and acknowledges it, also two of a group side by side', async () => {
    await filled(100)
    const seen: (string | undefined)[] = []
    const handle = ({ fields }: { fields: Readonly<Record<string, string>> }) => void seen.push(fields.n)
    const both = ['a', 'b'].map(consumer => make({ handle, consumer }))
    for (const each of both) await each.start?.(context())
    await eventually(() => seen.length === 100)
    await Promise.all(both.map(end))
    expect(new Set(seen).size).toBe(100)
    expect(await pending()).toBe(0)
    await redis.del(stream)
  })

  it('goes on with a stream that was lost, and its group with it', async () => {
    await filled(1)
    let seen = 0
    const consumer = make({ handle: () => void seen++ })
    await consumer.start?.(context())
    await eventually(() => seen === 1)
    await redis.del(stream)
    await eventually(async () => expect(await redis.exists(stream)).toBe(1))
    await redis.xadd(stream, '*', 'n', '1')
    await eventually(() => seen === 2)
    await end(consumer)
    await redis.del(stream)
  })

  it('lets go at once where there is no time left to finish', async () => {
    await filled(1)
    let isBegun = false
    const handle = (_: unknown, { signal }: { signal: AbortSignal }): Promise<void> => {
      isBegun = true
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    }
    const consumer = make({ handle })
    await consumer.start?.(context())
    await eventually(() => isBegun)
    await consumer.pause?.(context())
    await consumer.finish?.(context(0, AbortSignal.abort()))
    await consumer.disconnect?.(context())
    expect(await pending()).toBe(1)
    await redis.del(stream)
  })

  it('takes nothing new once it is paused, and finishes what it has', async () => {
    await filled(30)
    let begun = 0
    let done = 0
    const handle = async () => {
      begun++
      await new Promise(resolve => setTimeout(resolve, 20))
      done++
    }
    const consumer = make({ handle, batch: 5 })
    await consumer.start?.(context())
    await eventually(() => begun >= 5)
    await end(consumer)
    expect(done).toBe(begun)
    expect(begun).toBeLessThan(30)
    expect(await pending()).toBe(0)
    await redis.del(stream)
  })

  it('gives an entry whose handler failed out again, and tells of it', async () => {
    await filled(1)
    let calls = 0
    const errors: unknown[] = []
    const handle = () => {
      if (++calls === 1) throw new Error('not yet')
    }
    const consumer = make({ handle, claimAfter: 40, onError: error => errors.push(error) })
    await consumer.start?.(context())
    await eventually(() => calls === 2)
    await end(consumer)
    expect(errors).toEqual([new Error('not yet')])
    expect(await pending()).toBe(0)
    await redis.del(stream)
  })

  it('acknowledges at its end what it could not before', async () => {
    await filled(1)
    const proxy = await startProxy(testRedis())
    const through = new Redis(proxy.url(testRedis().url), {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      lazyConnect: true,
    })
    through.on('error', () => {})
    await through.connect()
    let handled = 0
    const handle = async () => {
      handled++
      proxy.refuse()
      proxy.cut()
    }
    const consumer = make({ redis: through, handle })
    await consumer.start?.(context())
    await eventually(() => handled === 1)
    expect(await pending()).toBe(1)
    await consumer.pause?.(context())
    await consumer.finish?.(context())
    const committed = consumer.commit?.(context()) as Promise<void>
    await proxy.heal()
    await committed
    expect(await pending()).toBe(0)
    expect(handled).toBe(1)
    await consumer.disconnect?.(context())
    through.disconnect()
    await proxy.close()
    await redis.del(stream)
  })
})

it('a consumer of a Redis stream does not handle again what it could not acknowledge when that comes back to it', async () => {
  await using server = await startRedis({ own: true })
  const redis = new Redis(server.url)
  onTestFinished(() => redis.disconnect())
  await redis.call('ACL', 'SETUSER', 'default', '-xack')
  let handled = 0
  const consumer = redisStreamConsumer({
    redis,
    stream: 's',
    group: 'g',
    block: 20,
    claimAfter: 20,
    handle: () => void handled++,
  })
  await consumer.start?.(context())
  await redis.xadd('s', '*', 'n', '0')
  // Given out for the second time, and the third.
  await eventually(async () => {
    const [[, , , deliveries] = []] = (await redis.xpending('s', 'g', '-', '+', 1)) as [
      string,
      string,
      number,
      number,
    ][]
    expect(deliveries).toBeGreaterThan(2)
  })
  await redis.call('ACL', 'SETUSER', 'default', '+xack')
  await end(consumer)
  expect(((await redis.xpending('s', 'g')) as [number])[0]).toBe(0)
  expect(handled).toBe(1)
})

describe('a queue in Postgres', () => {
  let database: Database
  let pool: Pool

  beforeAll(async () => {
    database = await testPostgres().createDatabase()
    await database.query(`create table jobs (id bigint generated always as identity primary key, payload jsonb not null,
      run_at timestamptz not null default now(), attempts int not null default 0);
      create table done (n int not null)`)
  })
  afterAll(() => database.drop())

  const rows = async (sql: string): Promise<number> => (await database.query<{ n: number }>(sql))[0]?.n ?? -1
  const fill = (n: number) =>
    database.query(`insert into jobs (payload) select to_jsonb(i) from generate_series(1, ${n}) i`)

  it('does every job once, in one commit with what it wrote, by several at a time', async () => {
    await fill(50)
    pool = new Pool({ connectionString: database.url, max: 4 })
    const consumer = postgresQueueConsumer({
      pool,
      table: 'public.jobs',
      concurrency: 3,
      poll: 20,
      handle: ({ payload }, { client }) => client.query('insert into done values ($1)', [payload]),
    })
    await consumer.start?.(context())
    await eventually(async () => (await rows('select count(*)::int as n from done')) === 50)
    await end(consumer)
    expect(await rows('select count(distinct n)::int as n from done')).toBe(50)
    expect(await rows('select count(*)::int as n from jobs')).toBe(0)
    await pool.end()
  })

  it('takes back what a job wrote that failed, and does it again later', async () => {
    await database.query('truncate done, jobs')
    await fill(1)
    pool = new Pool({ connectionString: database.url, max: 2 })
    const attempts: number[] = []
    const consumer = postgresQueueConsumer({
      pool,
      table: 'jobs',
      poll: 10,
      retryAfter: 10,
      handle: async (job, { client }) => {
        attempts.push(job.attempts)
        await client.query('insert into done values (1)')
        if (job.attempts < 2) await client.query('select 1 / 0')
      },
    })
    await consumer.start?.(context())
    await eventually(async () => (await rows('select count(*)::int as n from jobs')) === 0)
    await end(consumer)
    expect(attempts).toEqual([0, 1, 2])
    expect(await rows('select count(*)::int as n from done')).toBe(1)
    await pool.end()
  })

  it('waits twice as long after each failure, and an hour at most', async () => {
    await database.query('truncate done, jobs')
    await database.query(`insert into jobs (payload, attempts) values ('0', 0), ('3', 3), ('30', 30)`)
    pool = new Pool({ connectionString: database.url, max: 2 })
    const fail = (): never => {
      throw new Error('later')
    }
    const consumer = postgresQueueConsumer({ pool, table: 'jobs', poll: 10, retryAfter: '100s', handle: fail })
    await consumer.start?.(context())
    const waiting = `select round(extract(epoch from run_at - now()) / 100)::int as n from jobs
      where run_at > now() + interval '30s' order by id`
    await eventually(async () => expect(await database.query(waiting)).toEqual([{ n: 1 }, { n: 8 }, { n: 36 }]))
    await end(consumer)
    await pool.end()
  })

  it('goes on when the connection of a job is killed, whose work is undone', async () => {
    await database.query('truncate done, jobs')
    await fill(1)
    pool = new Pool({ connectionString: database.url, max: 2 })
    let calls = 0
    const consumer = postgresQueueConsumer({
      pool,
      table: 'jobs',
      poll: 10,
      handle: async (_, { client }) => {
        await client.query('insert into done values (1)')
        if (++calls === 1) await client.query('select pg_terminate_backend(pg_backend_pid())')
      },
    })
    await consumer.start?.(context())
    await eventually(async () => (await rows('select count(*)::int as n from jobs')) === 0)
    await end(consumer)
    expect([calls, await rows('select count(*)::int as n from done')]).toEqual([2, 1])
    await pool.end()
  })

  it('refuses options that are wrong, all at once', () => {
    expect(() => postgresQueueConsumer({ table: '', concurrency: 0 } as never)).toThrow(/table.*handle.*concurrency/)
    expect(() => redisStreamConsumer({ stream: '', batch: 0, block: 0 } as never)).toThrow(
      /stream.*group.*handle.*batch.*block/,
    )
  })
})
