/** A program whose backend is killed while it has a client, with a pool of pg or ours. Arguments: the database's URL, whose. */

import pg from 'pg'
import { Pool } from '../src/pool.js'

const [connectionString, whose] = process.argv.slice(2)
const pool = whose === 'pg' ? new pg.Pool({ connectionString }) : new Pool({ connectionString })
pool.on('error', () => console.log('told to the pool'))

const client = await pool.connect()
const { rows } = await client.query('select pg_backend_pid() as pid')
await pool.query('select pg_terminate_backend($1, 5000)', [rows[0].pid])
await new Promise(resolve => setTimeout(resolve, 100))
console.log('went on')
client.release()
await pool.end()
