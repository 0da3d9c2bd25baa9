/** What the tests of a fleet share: a small server of the file's own, a plain user on it, and pools that are instances. */

import { eventually, type PostgresServer, startPostgres } from '@breakwater/testkit'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished } from 'vitest'
import type { PoolConfig } from '../src/pool-options.js'
import { Instance } from './fleet-instance.js'

/** Connections that the server has for a user without privileges: `max_connections` less what it reserves. */
export const USABLE = 17

export interface SmallServer {
  /** For a plain user, whom the server refuses when it has no more. */
  readonly url: string
  readonly server: PostgresServer
  /** Runs a statement as the superuser, over a connection that no limit applies to. */
  query<R extends object>(text: string, values?: unknown[]): Promise<R[]>
  /** Kills the server, and starts it again. */
  restart(): Promise<void>
  /** Backends of the plain user. */
  backends(): Promise<number>
  /** The most backends of the plain user at one time, from now on, as often as the server could be asked. */
  watch(): Promise<{ stop(): Promise<number> }>
}

export function useSmallServer(settings: Record<string, string> = {}): SmallServer {
  let server: PostgresServer
  let admin: pg.Client
  beforeAll(async () => {
    server = await startPostgres({ own: true, settings: { max_connections: '20', ...settings } })
    await connect()
    await admin.query('create role app login; create role narrow login connection limit 5')
  })
  afterAll(async () => {
    await admin.end().catch(() => undefined)
    await server[Symbol.asyncDispose]()
  })
  const connect = async (): Promise<void> => {
    admin = new pg.Client({ connectionString: server.url })
    admin.on('error', () => undefined)
    await admin.connect()
  }
  const query = async <R extends object>(text: string, values?: unknown[]): Promise<R[]> => {
    const { rows } = await admin.query<R>(text, values)
    return rows
  }
  const backends = async (): Promise<number> => {
    const [row] = await query<{ count: number }>(
      "select count(*)::int as count from pg_stat_activity where usename in ('app', 'narrow')",
    )
    return row?.count ?? 0
  }
  beforeEach(() => eventually(async () => expect(await backends()).toBe(0)))
  return {
    get url() {
      return server.url.replace('//postgres@', '//app@')
    },
    get server() {
      return server
    },
    query,
    async restart() {
      await server.kill()
      await server.start()
      await connect()
    },
    backends,
    async watch() {
      let most = 0
      let isOver = false
      const watching = (async () => {
        while (!isOver) {
          most = Math.max(most, await backends())
          await new Promise(resolve => setTimeout(resolve, 5))
        }
      })()
      return {
        async stop() {
          isOver = true
          await watching
          return most
        },
      }
    },
  }
}

/** Makes instances that are stopped when their test is over. */
export function useInstances(count: number, options: PoolConfig): Instance[] {
  const instances = Array.from({ length: count }, () => new Instance(options))
  onTestFinished(async () => {
    await Promise.all(instances.map(each => each.stop()))
  })
  return instances
}
