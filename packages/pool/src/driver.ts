/**
 * The one door to pg, the application's own copy: its classes, and the few things read of a client that its public API
 * does not tell. All of those may be missing (another version, the native client), and then nothing is assumed.
 */

import type { EventEmitter } from 'node:events'
import pg from 'pg'

export type {
  BindConfig,
  ClientBase,
  ClientConfig,
  ConnectionConfig,
  CustomTypesConfig,
  Defaults,
  Events,
  ExecuteConfig,
  FieldDef,
  MessageConfig,
  Notification,
  PoolClient,
  PoolConfig,
  PoolOptions,
  QueryArrayConfig,
  QueryArrayResult,
  QueryConfig,
  QueryConfigValues,
  QueryParse,
  QueryResult,
  QueryResultBase,
  QueryResultRow,
  ResultBuilder,
  Submittable,
} from 'pg'

/** The whole module, for `@breakwater/pool/pg`, which mirrors it. */
export const driver: typeof pg = pg

/** A client, connected or not. */
export type ClientLike = pg.PoolClient
export type ClientConstructor = new (options?: pg.ClientConfig) => pg.ClientBase

/** What `pg.Pool`'s constructor sets up and this package keeps; its methods are all replaced. */
export interface PoolBase extends EventEmitter {
  readonly options: pg.PoolOptions
  Client: ClientConstructor
  Promise: PromiseConstructor
  log: (...messages: unknown[]) => void
  ending: boolean
  ended: boolean
  on(event: 'error' | 'release', listener: (error: Error, client: ClientLike) => void): this
  on(event: 'connect' | 'acquire' | 'remove', listener: (client: ClientLike) => void): this
}

export const PoolBase: new (options?: pg.PoolConfig) => PoolBase = pg.Pool as unknown as new () => PoolBase

interface Internals {
  _queryable?: boolean
  _ending?: boolean
  /** False while a query runs. */
  readyForQuery?: boolean
  /** I: none, T: open, E: failed. */
  getTransactionStatus?(): string | null
  connection?: { stream?: { destroy?(): void } }
  ref?(): void
  unref?(): void
}

const internals = (client: ClientLike): Internals => client as Internals

/** False once the client has lost its connection or is being closed. */
export function isQueryable(client: ClientLike): boolean {
  const { _queryable, _ending } = internals(client)
  return _queryable !== false && _ending !== true
}

/** True when the client runs no query. */
export function isReady(client: ClientLike): boolean {
  return internals(client).readyForQuery !== false
}

/** True when the last query has left a transaction open. Known from pg 8.21 on; costs no round trip. */
export function isInTransaction(client: ClientLike): boolean {
  const status = internals(client).getTransactionStatus?.()
  return status === 'T' || status === 'E'
}

/** Lets the process end, or not, while the client's connection is all that is left. */
export function keepAlive(client: ClientLike, keep: boolean): void {
  const { ref, unref } = internals(client)
  ;(keep ? ref : unref)?.call(client)
}

/** Closes the client's socket without a word to the server; the native client shows none and is left alone. */
export function destroySocket(client: ClientLike): void {
  internals(client).connection?.stream?.destroy?.()
}

/** Ends a client that may not be connected yet. */
export function abandonConnect(client: ClientLike): void {
  if (internals(client).connection) destroySocket(client)
  else if (typeof client.end === 'function') client.end(() => undefined)
}
