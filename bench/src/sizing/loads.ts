/** The loads for which a size is looked for: who comes when, and what each wants of a connection. */

import type { Pool } from '@breakwater/pool'
import type { Random } from '../load/random.js'

interface Common {
  readonly name: string
  /** Ms that one use of a connection takes where nothing is in its way. */
  nextWork(random: Random): number
  /** Uses a connection for that long. */
  ask(pool: Pool, workMs: number): Promise<unknown>
  /** Sizes that are tried, ascending. */
  readonly sizes: readonly number[]
}

/** Callers who come by chance, whether those before them are served or not. */
interface OpenLoad extends Common {
  readonly perSecond: number
  /** Ms of one use, on average. */
  readonly meanMs: number
}

/** Callers who ask again as soon as they are answered. */
interface ClosedLoad extends Common {
  readonly callers: number
}

export type Load = OpenLoad | ClosedLoad

/** Holds a connection, and costs the server hardly anything: many can be in use at one time, and their number matters. */
async function hold(pool: Pool, ms: number): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('select pg_sleep($1)', [ms / 1_000])
  } finally {
    client.release()
  }
}

const byChance = (meanMs: number, random: Random): number => -Math.log(1 - random()) * meanMs

export const LOADS: readonly Load[] = [
  {
    name: 'short uses, 10 ms on average, 400/s',
    perSecond: 400,
    meanMs: 10,
    nextWork: random => byChance(10, random),
    ask: hold,
    sizes: [4, 6, 7, 8, 9, 10, 12],
  },
  {
    name: 'long uses, 200 ms on average, 40/s',
    perSecond: 40,
    meanMs: 200,
    nextWork: random => byChance(200, random),
    ask: hold,
    sizes: [8, 10, 11, 12, 13, 14, 16],
  },
  {
    name: 'a mix: 95 % 10 ms, 5 % 300 ms, 200/s',
    perSecond: 200,
    meanMs: 0.95 * 10 + 0.05 * 300,
    nextWork: random => byChance(random() < 0.05 ? 300 : 10, random),
    ask: hold,
    sizes: [5, 7, 8, 9, 10, 11, 13],
  },
  {
    name: 'work for the processor, 20 callers',
    callers: 20,
    nextWork: () => 50_000,
    ask: (pool, rows) => pool.query('select sum(n) from generate_series(1, $1::int) n', [rows]),
    sizes: [1, 2, 3, 4, 6, 20],
  },
  {
    name: 'queries that share connections, 1 ms, 50 callers',
    callers: 50,
    nextWork: () => 1,
    // The server sleeps for whole milliseconds.
    ask: pool => pool.query('select pg_sleep(0.0004)'),
    sizes: [1, 4, 8, 12, 16, 20],
  },
]
