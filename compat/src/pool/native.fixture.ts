/** A program that uses `pg.native`, and prints what it finds. Arguments: whose, and the database's URL if it may connect. */

import { once } from 'node:events'
import breakwaterPg from '@breakwater/pool/pg'
import original from 'pg'

const [contender, url] = process.argv.slice(2)
const pg = (contender === 'pg' ? original : breakwaterPg) as unknown as typeof original
const print = (what: object): void => console.log(JSON.stringify(what))

const descriptor = Object.getOwnPropertyDescriptor(pg, 'native')
print({
  lazy: descriptor?.get !== undefined,
  enumerable: descriptor?.enumerable,
  configurable: descriptor?.configurable,
})

let native: typeof original | null = null
try {
  native = pg.native as unknown as typeof original | null
  print({ isNull: native === null, same: pg.native === (native as unknown) })
} catch (error) {
  print({ thrown: (error as Error).message })
}

if (native && url) {
  const Client = (original.native as unknown as typeof original).Client
  print({
    client: native.Client === Client && Client !== original.Client,
    types: native.types === original.types,
    ownPool: native.Pool !== pg.Pool,
    poolName: native.Pool.name.includes('Pool'),
    isPool: new native.Pool() instanceof Object.getPrototypeOf(original.Pool),
  })
  const pool = new native.Pool({ connectionString: url, max: 2 })
  const client = await pool.connect()
  print({ native: client instanceof Client, hasSocket: 'connection' in client })
  await client.query('begin')
  const { rows } = await client.query('select $1::int as n, pg_backend_pid() as pid', [7])
  await client.query('rollback')
  client.release()
  print({ n: rows[0].n, idle: pool.idleCount, total: pool.totalCount })
  print({ again: (await pool.query('select $1::text as word', ['hello'])).rows })

  const lost = once(pool, 'error')
  const killer = new original.Client(url)
  await killer.connect()
  await killer.query('select pg_terminate_backend($1, 5000)', [rows[0].pid])
  await killer.end()
  await lost
  print({ recovered: (await pool.query('select 1 as one')).rows })
  print({ failed: await pool.query('select bad').catch(error => error.code ?? error.message) })
  await pool.end()
  print({ ended: pool.ended, total: pool.totalCount })
}
