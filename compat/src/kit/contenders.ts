/** The two pools that must not be told apart: pg's own, and the one that takes its place. */

import { Pool as BreakwaterPool, type PoolConfig as BreakwaterPoolConfig } from '@breakwater/pool'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import type { DatabaseOfFile } from './database.js'

/** pg's class, as its users see it. */
export type PoolClass = typeof pg.Pool

export const OurPool: PoolClass = BreakwaterPool

/** For `describe.each`: the same tests run against both. */
export const contenders: readonly (readonly [name: string, Pool: PoolClass])[] = [
  ['pg.Pool', pg.Pool],
  ["@breakwater/pool's Pool", OurPool],
]

/** All that either pool takes; what is ours alone means nothing to pg. */
export type Options = Omit<pg.PoolConfig, 'Client' | 'Promise'> &
  Pick<BreakwaterPoolConfig, 'onQueryError'> & {
    Client?: unknown
    Promise?: unknown
    [other: string]: unknown
  }

/** Makes pools on the file's database, and ends each when its test is over, whatever the test has left. */
export function poolsOf(Pool: PoolClass, database: DatabaseOfFile): (options?: Options) => pg.Pool {
  return options => {
    const pool = new Pool({ connectionString: database.url, ...options } as pg.PoolConfig)
    const out = new Set<pg.PoolClient>()
    pool.on('acquire', client => out.add(client))
    pool.on('release', (_, client) => out.delete(client))
    onTestFinished(async () => {
      const ended = pool.ending ? undefined : pool.end()
      // pg's own pool would wait for ever for those that a failed test has not released.
      for (const client of out) client.release(true)
      await ended
    })
    return pool
  }
}

/** Resolves with the arguments of the emitter's next event of that name. */
export function next(emitter: NodeJS.EventEmitter, event: string): Promise<unknown[]> {
  return new Promise(resolve => emitter.once(event, (...args) => resolve(args)))
}

/** Calls what takes a callback as its last argument, and resolves with whatever that is called with. */
export function called(call: (callback: (...args: unknown[]) => void) => unknown): Promise<unknown[]> {
  return new Promise(resolve => call((...args) => resolve(args)))
}
