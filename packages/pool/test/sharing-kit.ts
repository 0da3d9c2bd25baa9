/** What the tests of lanes share: a table, a pool to which reads of it are known to be quick, and what it has shared. */

import { eventually } from '@breakwater/testkit'
import pg from 'pg'
import { beforeAll, expect } from 'vitest'
import type { Pool } from '../src/pool.js'
import type { PoolConfig } from '../src/pool-options.js'
import { leisurelyClock } from './leisurely-clock.js'
import { type DatabaseOfFile, useDatabase } from './pool-kit.js'

export const ROW = 'select n, square from squares where n = $1'
export const WRITE = 'update squares set square = $2 where n = $1'

/** A machine that is busy for long makes a quick query look slow for long. */
const LEARNT_MS = 15_000

export interface SharingDatabase extends DatabaseOfFile {
  /** A pool on which a read by key, and whatever else is run before, is known to be quick. */
  sharing(options?: PoolConfig, ...quick: (string | pg.QueryConfig)[]): Promise<Pool>
}

/** A database with the squares of 1 to 1,000, of which none may become 13. */
export function useSquares(): SharingDatabase {
  const database = useDatabase()
  beforeAll(async () => {
    const client = new pg.Client(database.url)
    await client.connect()
    await client.query('create table squares (n int primary key, square int check (square <> 13))')
    await client.query('insert into squares select n, n * n from generate_series(1, 1000) n')
    await client.end()
  })
  const sharing: SharingDatabase['sharing'] = async (options, ...quick) => {
    const pool = database.pool({ max: 4, clock: leisurelyClock, ...options })
    await learn(pool, { text: ROW, values: [1] }, ...quick)
    return pool
  }
  return Object.defineProperty(database, 'sharing', { value: sharing }) as SharingDatabase
}

/** Runs queries until they share; at first a query goes alone, and on a busy machine it may take a few times. */
export async function learn(pool: Pool, ...queries: (string | pg.QueryConfig)[]): Promise<void> {
  for (const query of queries) {
    await eventually(async () => {
      const before = shared(pool)
      await pool.query(query)
      expect(shared(pool)).toBe(before + 1)
    }, LEARNT_MS)
  }
}

/** Queries that were sent in lanes so far. */
export function shared(pool: Pool): number {
  return pool.stats().lanes?.shared ?? 0
}

export async function row(pool: Pool, n: number): Promise<unknown> {
  return (await pool.query(ROW, [n])).rows[0]
}
