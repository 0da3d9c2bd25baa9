/** A program that uses a pool and does not end the process itself. Arguments: the database's URL, and what to do. */

import { Pool } from '../src/pool.js'

const [url, mode] = process.argv.slice(2)
const pool = new Pool({
  connectionString: url,
  idleTimeoutMillis: mode === 'idle' ? 100 : 3_600_000,
  allowExitOnIdle: mode !== 'idle',
})
pool.on('remove', () => console.log('removed'))

// Long enough that each has a connection of its own.
await Promise.all([pool.query('select pg_sleep(0.1)'), pool.query('select pg_sleep(0.1)')])
console.log('answered')

if (mode === 'end') {
  await pool.end()
  console.log('ended')
}
if (mode === 'exit-on-idle') {
  // A caller who is served by what is freed leaves a new connection behind that nobody has used.
  await Promise.all(Array.from({ length: 4 }, () => pool.query('select 1')))
  console.log('answered alone')
}
if (mode === 'killed') {
  const client = await pool.connect()
  await client.query('select pg_terminate_backend(pg_backend_pid())').catch(error => console.log(error.code))
  client.release()
  await pool.end()
}
if (mode === 'throw') {
  process.on('uncaughtException', ({ message }, origin) => {
    console.log(`${origin}: ${message}`)
    process.exit()
  })
  void pool.query('select 3', () => {
    throw new Error('from a callback')
  })
}
