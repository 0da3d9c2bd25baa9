/** A service that shows what happens in it: its start as a drawing, log lines in the trace of their request, metrics. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createDataAccess } from '@breakwater/core'
import { jsonLogger } from '@breakwater/core/logs'
import { prometheus } from '@breakwater/core/prometheus'

const logger = jsonLogger({ service: 'orders' }) // or pino(pinoOptions('orders'))
const data = createDataAccess({
  postgres: { connectionString: process.env.DATABASE_URL },
  redis: { url: process.env.REDIS_URL },
  sqlcommenter: { application: 'orders' }, // whose a query is, in the database's own logs
  logger,
})
const totals = data.cache.space<number>('totals', {
  ttl: '1m',
  load: async country => {
    const count = 'SELECT count(*)::int AS n FROM orders WHERE country = $1'
    return (await data.pool.query(count, [country])).rows[0].n
  },
})
const metrics = prometheus(data)

const server = createServer(async (request, response) => {
  if (data.probes(request, response) || metrics.handler(request, response)) return // GET /metrics
  const country = request.url?.slice(1) ?? ''
  const total = await totals.get(country)
  logger.info({ event: 'orders.counted', total }, 'counted') // with trace_id and span_id of this very request
  response.end(`${total}\n`)
})

data.serve(server, { port: Number(process.env.PORT ?? 8080) }).handleSignals()
await data.init()
console.log(String(data.timeline()))
console.log(`listening on ${(server.address() as AddressInfo).port}`)
