/** A service that stops without losing anything: `kill` it while requests are under way. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createDataAccess } from '@breakwater/core'
import { postgresQueueConsumer } from '@breakwater/core/consumers'

const log = (level: string) => (fields: object, message: string) =>
  console.log(JSON.stringify({ level, message, ...fields }))
const data = createDataAccess({
  postgres: { connectionString: process.env.DATABASE_URL, max: 10, leakWarningAfter: '1m' },
  redis: { url: process.env.REDIS_URL },
  logger: { info: log('INFO'), warn: log('WARN') },
})

const server = createServer(async (request, response) => {
  if (data.probes(request, response)) return // /live, /ready, /startup
  if (request.method !== 'POST') return void response.writeHead(404).end()
  // One commit for the order and for what is to be done about it.
  await data.pool.query(`WITH o AS (INSERT INTO orders DEFAULT VALUES RETURNING id)
    INSERT INTO jobs (payload) SELECT to_jsonb(id) FROM o`)
  data.background('count', () => data.redis?.incr('orders')) // detached, and waited for by the stop
  response.end('ordered\n')
})

data.serve(server, { port: Number(process.env.PORT ?? 8080) })
data.consume(
  'jobs',
  postgresQueueConsumer({
    pool: data.pool,
    table: 'jobs',
    poll: 100,
    handle: ({ payload }, { client }) => client.query('UPDATE orders SET shipped = true WHERE id = $1', [payload]),
  }),
)
data.handleSignals({ deadline: '25s' })
await data.init()
console.log(`listening on ${(server.address() as AddressInfo).port}`)
process.send?.('ready') // pm2's wait_ready
