/** A program that uses a pool and never ends the process itself. Arguments: which pool, the database's URL, what to do. */

import { Pool as BreakwaterPool } from '@breakwater/pool'
import pg from 'pg'

const [contender, url, mode = ''] = process.argv.slice(2)
const Pool = (contender === 'pg' ? pg.Pool : BreakwaterPool) as typeof pg.Pool
process.on('warning', ({ name, message }) => console.log(`warning ${name}: ${message}`))

const makePool = (options: pg.PoolConfig): pg.Pool => new Pool({ connectionString: url, ...options })

async function twoQueries(pool: pg.Pool): Promise<void> {
  // Long enough that each has a connection of its own.
  await Promise.all([pool.query('select pg_sleep(0.1)'), pool.query('select pg_sleep(0.1)')])
  console.log('answered')
}

async function kill(pids: unknown[]): Promise<void> {
  const killer = new pg.Client(url)
  await killer.connect()
  await killer.query('select pg_terminate_backend(pid, 5000) from unnest($1::int[]) pid', [pids])
  await killer.end()
}

const code = (error: unknown): string => (error as Error & { code: string }).code

const modes: Record<string, () => Promise<void>> = {
  'exit-on-idle': () => twoQueries(makePool({ allowExitOnIdle: true, idleTimeoutMillis: 3_600_000 })),
  'idle-timeout': () => {
    const pool = makePool({ idleTimeoutMillis: 1_000 })
    pool.on('remove', () => console.log('removed'))
    return twoQueries(pool)
  },
  /** Much of everything, for what Node or pg warns of, and all that is handed to callbacks. */
  async busy() {
    const pool = makePool({ max: 2 })
    for (let i = 0; i < 40; i++) {
      const client = await pool.connect()
      client.on('notice', () => undefined)
      await client.query('select 1')
      client.removeAllListeners('notice')
      client.release()
    }
    await Promise.all(Array.from({ length: 200 }, (_, n) => pool.query('select $1::int', [n])))
    await Promise.all(Array.from({ length: 20 }, () => pool.query('select bad').catch(() => undefined)))
    const nowhere = new Pool({ host: '127.0.0.1', port: 1 })
    await new Promise<void>(resolve => {
      nowhere.connect(error => {
        console.log(`connect: ${code(error)}`)
        resolve()
      })
    })
    void pool.query('select bad', error => {
      console.log(`query: ${code(error)}`)
      pool.end(() => console.log('ended'))
    })
  },
  async 'throwing-callback'() {
    process.on('uncaughtException', ({ message }, origin) => console.log(`${origin}: ${message}`))
    const pool = makePool({ max: 1 })
    void pool.query('select 1', () => {
      setImmediate(() => pool.end().then(() => console.log('ended')))
      throw new Error('from a callback')
    })
  },
  async 'killed-idle'() {
    const pool = makePool({ max: 1 })
    const { rows } = await pool.query('select pg_backend_pid() as pid')
    await kill(rows.map(({ pid }) => pid))
    console.log((await pool.query('select 1 as one')).rows)
    await pool.end()
  },
  async 'killed-in-use'() {
    const pool = makePool({ max: 1 })
    pool.on('error', () => undefined)
    const client = await pool.connect()
    const { rows } = await client.query('select pg_backend_pid() as pid')
    await kill(rows.map(({ pid }) => pid))
    await client.query('select 1').catch(() => console.log('refused'))
    client.release()
    console.log((await pool.query('select 1 as one')).rows)
    await pool.end()
  },
}

await modes[mode]?.()
