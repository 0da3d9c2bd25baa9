/** A process that starts servers, says their pids, and never stops them; run by `interrupted.test.ts`. */

import { spawn } from 'node:child_process'
import pg from 'pg'
import { eventually } from '../eventually.js'
import { startPostgres } from '../postgres/start-postgres.js'
import { startRedis } from '../redis/start-redis.js'
import { entrustProcess } from './custody.js'
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
const roots = [postgres.pid ?? 0, redis.pid ?? 0]
if (how === 'deaf') {
  const deaf = spawn('sh', ['-c', 'trap "" QUIT; sleep 600 & wait'], { detached: true, stdio: 'ignore' })
  entrustProcess(deaf.pid ?? 0, 'SIGQUIT')
  roots.push(deaf.pid ?? 0)
}
const pids = roots.flatMap(processTree)
if (how === 'hung' || how === 'orphaned') {
  postgres.hang()
  redis.hang()
}
if (how === 'orphaned') {
  process.kill(postgres.pid ?? 0, 'SIGKILL')
  await eventually(() => postgres.pid === undefined)
}
process.stdout.write(`${JSON.stringify(pids)}\n`)
if (how === 'throws') throw new Error('something went wrong')
if (how === 'exits') process.exit()
// With the client gone nothing is left to do but what the test kit holds.
if (how === 'returns') await client.end()
