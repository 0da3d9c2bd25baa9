/**
 * A whole service in a process of its own: it answers requests with two-row transfers, consumes a stream of Redis and a
 * queue of Postgres, and stops by signal. `MODE` says what is wrong with it.
 */

import { writeSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { postgresQueueConsumer, redisStreamConsumer } from '@breakwater/core/consumers'
import { createDataAccess } from '../index.js'

const { DATABASE_URL = '', REDIS_URL = '', LABEL = 'service', MODE = '', DEADLINE = '20s' } = process.env
const modes = MODE.split(',')
const is = (mode: string): boolean => modes.includes(mode)

/** JSON lines, over `stdout` as any logger's. */
const log = (level: string) => (fields: object, message: string) => {
  process.stdout.write(`${JSON.stringify({ level, message, ...fields })}\n`)
}

const data = createDataAccess({
  postgres: { connectionString: DATABASE_URL, application_name: LABEL, max: 4, leakWarningAfter: '1m' },
  redis: { url: REDIS_URL, connectionName: LABEL },
  cache: { namespace: LABEL },
  components: { redis: { startTimeout: 500 } },
  ...(!is('silent') && { logger: { info: log('INFO'), warn: log('WARN') } }),
  ...(is('delay') && { drainDelay: { min: 300 } }),
})

const server = createServer(async (request, response) => {
  try {
    if (data.probes(request, response)) return
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    if (pathname === '/transfer') await transfer(Number(searchParams.get('id')))
    // The connection is asked for when the stop has long begun.
    if (pathname === '/late') {
      await sleep(1_000)
      await data.pool.query('select 1')
    }
    if (pathname === '/sleep') await data.pool.query('select pg_sleep($1)', [Number(searchParams.get('s'))])
    if (pathname === '/never') return
    if (pathname === '/leak') {
      await data.pool.connect()
      return
    }
    if (pathname === '/track') {
      data.background('audit', async () => {
        await sleep(300)
        await data.track('audit row', () => data.pool.query('insert into audit default values'))
      })
    }
    if (pathname === '/crash') setTimeout(() => Promise.reject(new Error('crashed on purpose')))
    response.end('ok')
  } catch (error) {
    response.writeHead(500).end(String(error))
  }
})

/** Two rows and a note of it, in one transaction that takes a while. */
async function transfer(id: number): Promise<void> {
  const client = await data.pool.connect()
  try {
    await client.query('begin')
    const [from, to] = [(id * 7) % 10, (id * 7 + 3) % 10]
    await client.query('update accounts set balance = balance - 1 where id = $1', [Math.min(from, to)])
    await sleep(5)
    await client.query('update accounts set balance = balance + 1 where id = $1', [Math.max(from, to)])
    await client.query('insert into transfers (id) values ($1)', [id])
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

data.serve(server, { port: 0, host: '127.0.0.1' })
const events = redisStreamConsumer({
  redis: data.redis as never,
  stream: `${LABEL}:events`,
  group: 'g',
  block: 100,
  handle: async ({ fields }) => {
    await sleep(10)
    await data.pool.query('insert into processed (source, what) values ($1, $2)', ['stream', fields.n])
  },
})
data.consume('events', Object.assign(events, { optional: true, startTimeout: 1_000 }))
data.consume(
  'jobs',
  postgresQueueConsumer({
    pool: data.pool,
    table: 'jobs',
    poll: 100,
    handle: async ({ payload }, { client }) => {
      await sleep(10)
      await client.query('insert into processed (source, what) values ($1, $2)', ['queue', String(payload)])
    },
  }),
)
if (is('slow start')) data.add({ name: 'slow', start: ({ signal }) => sleep(60_000, undefined, { signal }) })
if (is('failing start')) {
  data.add({
    name: 'broken',
    start: () => {
      throw new Error('broken on purpose')
    },
  })
}
if (is('hangs')) {
  data.add({ name: 'deaf', drain: () => new Promise(() => {}), stop: () => new Promise(() => {}), stopTimeout: '1h' })
}
if (is('timer')) setInterval(() => {}, 1_000)
if (is('chatty')) {
  data.add({
    name: 'chatty',
    stop: () => {
      const line = `${'x'.repeat(1_023)}\n`
      for (let i = 0; i < 4_096; i++) process.stdout.write(line)
    },
  })
}
if (is('crash while draining')) {
  data.add({
    name: 'fragile',
    drain: async () => {
      setTimeout(() => {
        throw new Error('crashed on purpose')
      })
      await sleep(100)
    },
  })
}

data.handleSignals({ deadline: DEADLINE as '20s' })
// Not through the logger: it may be that there is none.
writeSync(1, 'starting\n')
await data.init()
writeSync(1, `listening on ${(server.address() as AddressInfo).port}\n`)
