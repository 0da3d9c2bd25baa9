/** A process that starts servers, says their pids, and never stops them; run by `interrupted.test.ts`. */

import pg from 'pg'
import { startPostgres } from '../postgres/start-postgres.js'
import { startRedis } from '../redis/start-redis.js'
import { processTree } from './tree.mjs'

const [how] = process.argv.slice(2)

const [postgres, redis] = await Promise.all([startPostgres({ own: true }), startRedis({ own: true })])
// A client in the middle of its work must not delay the end.
const client = new pg.Client({ connectionString: postgres.url })
await client.connect()
client
  .on('error', () => {})
  .query('select pg_sleep(600)')
  .catch(() => {})
const pids = [postgres, redis].flatMap(server => processTree(server.pid ?? 0))
if (how === 'hung') {
  postgres.hang()
  redis.hang()
}
process.stdout.write(`${JSON.stringify(pids)}\n`)
if (how === 'throws') throw new Error('something went wrong')
if (how === 'exits') process.exit()
// With the client gone nothing is left to do but what the test kit holds.
if (how === 'returns') await client.end()
