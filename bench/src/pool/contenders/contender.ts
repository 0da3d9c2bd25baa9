/** A pool as its users use it, in one shape for all: asked for a row, or for a resource. */

import type { City } from '../../data/world.js'

/** What is acquired and released; what it costs is measured, so nothing stands between it and the pool. */
export interface Lender<R = unknown> {
  acquire(): PromiseLike<R>
  release(resource: R): unknown
}

/** A pool of connections to Postgres. */
export interface OpenPool {
  /** Reads a city by its primary key, with the statement that each connection prepares once. */
  city(id: number): Promise<City | undefined>
  /** Runs one statement without parameters. */
  query(text: string): Promise<unknown>
  /** Not for a pool that lends no connections. */
  readonly lender?: Lender
  /** Ends the pool when it is no longer used. */
  end(): Promise<unknown>
  /** Ends the pool as hard as it can, whatever runs. */
  forceEnd(): Promise<unknown>
}

/** All options that are not given here are the pool's defaults. */
export interface PoolContender {
  /** @param connections at most, for those that have more than one. */
  open(postgresUrl: string, connections: number): OpenPool
  /** Returns a pool of at most `CONNECTIONS` resources that cost nothing. */
  lendDummies?(): Lender
}
