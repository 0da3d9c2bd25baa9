/** One instance of a service that writes a row for each request; how it stops is what is compared. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { createDataAccess } from '@breakwater/core'
import closeWithGrace from 'close-with-grace'
import pg from 'pg'
import type { RollingContender } from './results.js'

const [contender, connectionString] = process.argv.slice(2) as [RollingContender, string]
/** Longer than a signal takes, so that there is always something under way. */
const WORK_SQL = 'insert into rolling (id) select $1 from pg_sleep(0.03)'
const MAX = 4
const LONGEST_MS = 10_000

type Query = (text: string, values: unknown[]) => Promise<unknown>

function serviceOver(query: Query, probes: (request: IncomingMessage, response: ServerResponse) => boolean): Server {
  return createServer(async (request, response) => {
    if (probes(request, response)) return
    try {
      await query(WORK_SQL, [Number(request.url?.slice(1))])
      response.end('ok')
    } catch (error) {
      response.writeHead(500).end(String(error))
    }
  })
}

/** What a careful team writes: readiness goes, the port closes, then the pool; and not for longer than 10 s. */
async function startByHand(): Promise<Server> {
  const pool = new pg.Pool({ connectionString, max: MAX })
  pool.on('error', () => {})
  let ready = true
  const server = serviceOver(
    (text, values) => pool.query(text, values),
    ({ url }, response) => {
      if (url !== '/ready') return false
      response.writeHead(ready ? 200 : 503).end()
      return true
    },
  )
  const stop = async (): Promise<void> => {
    ready = false
    await promisify(server.close.bind(server))()
    await pool.end()
  }
  if (contender === 'close-with-grace') closeWithGrace({ delay: LONGEST_MS, logger: false }, stop)
  else if (contender === 'by hand') {
    process.once('SIGTERM', () => {
      void stop().then(() => process.exit(0))
      setTimeout(() => process.exit(1), LONGEST_MS).unref()
    })
  }
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return server
}

async function startBreakwater(): Promise<Server> {
  const data = createDataAccess({ postgres: { connectionString, max: MAX } })
  const server = serviceOver(
    (text, values) => data.pool.query(text, values),
    (request, response) => data.probes(request, response),
  )
  await data.serve(server, { port: 0, host: '127.0.0.1' }).handleSignals({ deadline: LONGEST_MS }).init()
  return server
}

const server = await (contender === 'Breakwater' ? startBreakwater() : startByHand())
process.send?.((server.address() as AddressInfo).port)
// The channel has served: it should not keep anything alive.
process.disconnect()
