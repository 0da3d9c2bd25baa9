/** The loads for which a size is looked for: who comes when, and what each wants of a connection. */

import type { Pool } from '@breakwater/pool'
import { evenly, type Random } from '../load/random.js'

interface Common {
  readonly name: string
  /** Returns what tells, use by use, how many ms one takes where nothing is in its way. */
  works(random: Random): () => number
  /** Uses a connection for that long. */
  ask(pool: Pool, workMs: number): Promise<unknown>
  /** Ms of one round: long enough for some hundred to come. */
  readonly windowMs: number
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

/** Exponential, and evenly spread: a window would else be another load than the one before by what chance has put into it. */
function byChance(meanMs: number, random: Random): () => number {
  const next = evenly(random, 20)
  return () => -Math.log(1 - next()) * meanMs
}

/** One in twenty is long. */
function mixed(shortMs: number, longMs: number, random: Random): () => number {
  const [kind, short, long] = [evenly(random, 20), byChance(shortMs, random), byChance(longMs, random)]
  return () => (kind() < 0.05 ? long() : short())
}

export const LOADS: readonly Load[] = [
  {
    name: 'short uses, 10 ms on average, 400/s',
    perSecond: 400,
    meanMs: 10,
    works: random => byChance(10, random),
    ask: hold,
    windowMs: 1_500,
    sizes: [7, 8, 9, 10, 12],
  },
  {
    name: 'long uses, 200 ms on average, 40/s',
    perSecond: 40,
    meanMs: 200,
    works: random => byChance(200, random),
    ask: hold,
    windowMs: 4_000,
    sizes: [11, 12, 13, 14, 15, 17],
  },
  {
    name: 'a mix: 95 % 10 ms, 5 % 300 ms, 200/s',
    perSecond: 200,
    meanMs: 0.95 * 10 + 0.05 * 300,
    works: random => mixed(10, 300, random),
    ask: hold,
    windowMs: 4_000,
    sizes: [7, 8, 9, 10, 11, 13],
  },
  {
    name: 'work for the processor, 20 callers',
    callers: 20,
    works: () => () => 50_000,
    ask: (pool, rows) => pool.query('select sum(n) from generate_series(1, $1::int) n', [rows]),
    windowMs: 1_500,
    sizes: [1, 2, 3, 5, 20],
  },
  {
    name: 'queries that share connections, 1 ms, 50 callers',
    callers: 50,
    works: () => () => 1,
    // The server sleeps for whole milliseconds.
    ask: pool => pool.query('select pg_sleep(0.0004)'),
    windowMs: 1_000,
    sizes: [4, 12, 16, 20, 26, 35],
  },
]
