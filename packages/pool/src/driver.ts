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
  Query,
  QueryArrayConfig,
  QueryArrayResult,
  QueryConfig,
  QueryConfigValues,
  QueryParse,
  QueryResult,
  QueryResultBase,
  QueryResultRow,
  Result,
  ResultBuilder,
  Submittable,
  TransactionStatus,
} from 'pg'

/** The whole module, for `@breakwater/pool/pg`, which mirrors it. */
export const driver: typeof pg = pg

/** A client, connected or not. */
export type ClientLike = pg.PoolClient
export type ClientConstructor = new (options?: pg.ClientConfig) => pg.ClientBase

/** What `pg.Pool`'s constructor sets up and this package keeps; its methods are all replaced. */
export interface PoolBase extends EventEmitter {
  /** By callback, or else returns a promise. */
  connect(callback?: unknown): unknown
  readonly options: pg.PoolOptions
  Client: ClientConstructor
  Promise: PromiseConstructor
  log: (...messages: unknown[]) => void
  ending: boolean
  ended: boolean
  on(event: 'error' | 'release', listener: (error: Error, client: ClientLike) => void): this
  on(event: 'connect' | 'acquire' | 'remove', listener: (client: ClientLike) => void): this
}

export const PoolBase: Omit<typeof EventEmitter, 'prototype'> & {
  new (options?: pg.PoolConfig): PoolBase
  readonly prototype: PoolBase
} = pg.Pool as never

/** What `pg.Pool.prototype.connect` is now; `__wrapped` is the mark that shimmer and OpenTelemetry leave. */
export function connectOfPg(): { readonly __wrapped?: boolean } {
  return pg.Pool.prototype.connect as never
}

interface Internals {
  /** While it is true, queries are sent without waiting for the answers of those before; it is read at each of them. */
  pipeline?: boolean
  connectionParameters?: { query_timeout?: unknown }
  _queryQueue?: unknown[]
  /** How often it was released; libraries read it. */
  _poolUseCount?: number
  _queryable?: boolean
  _ending?: boolean
  /** False while a query runs. */
  readyForQuery?: boolean
  /** I: none, T: open, E: failed. */
  getTransactionStatus?(): string | null
  connection?: WireConnection & { stream?: Stream }
  host?: string
  port?: number
  database?: string | null
  ssl?: unknown
  sslNegotiation?: string
  /** What the server wants to see in a cancel request. */
  processID?: number | null
  secretKey?: number | null
  ref?(): void
  unref?(): void
}

/** The client's connection, as far as a query that is sent on it sees it. */
export interface WireConnection extends EventEmitter {
  /** The text of each statement that the server is known to have, and of each that is on its way, by name. */
  readonly parsedStatements: Record<string, string>
  readonly submittedNamedStatements: Record<string, string>
  close(what: { type: 'S' | 'P'; name: string }): void
  /** Asks for the columns of what is bound. */
  describe(what: { type: 'S' | 'P'; name: string }): void
}

interface Stream {
  cork?(): void
  uncork?(): void
  readonly writable?: boolean
  readonly bytesRead?: number
  readonly remoteAddress?: string
  /** `writeQueueSize`: what the system has not taken yet. */
  readonly _handle?: { readonly writeQueueSize?: number } | null
  destroy?(error?: Error): void
}

const internals = (client: ClientLike): Internals => client as unknown as Internals

/** False once the client has lost its connection or is being closed: nothing that it is given would be sent. */
export function isQueryable(client: ClientLike): boolean {
  const { _queryable, _ending, connection } = internals(client)
  return _queryable !== false && _ending !== true && connection?.stream?.writable !== false
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

/** How often it was used, as pg-pool counts it. */
export function usesOf(client: ClientLike): number {
  return internals(client)._poolUseCount ?? 0
}

/** Counts a release where pg-pool counts it. */
export function countUse(client: ClientLike): void {
  const counted = internals(client)
  counted._poolUseCount = (counted._poolUseCount ?? 0) + 1
}

/** Lets the process end, or not, while the client's connection is all that is left. */
export function keepAlive(client: ClientLike, keep: boolean): void {
  const { ref, unref } = internals(client)
  ;(keep ? ref : unref)?.call(client)
}

/** Returns a number that stays the same only while no byte comes or goes; undefined if the client does not show it. */
export function trafficOf(client: ClientLike): number | undefined {
  const stream = internals(client).connection?.stream
  return stream?.bytesRead === undefined ? undefined : stream.bytesRead + (stream._handle?.writeQueueSize ?? 0)
}

export function remoteAddressOf(client: ClientLike): string | undefined {
  return internals(client).connection?.stream?.remoteAddress
}

/** Where the client's options lead it. */
export function serverOf(client: ClientLike): { address?: string; port?: number; database?: string } {
  const { host, port, database } = internals(client)
  return { ...(host && { address: host }), ...(port && { port }), ...(database && { database }) }
}

/** The process id of the client's backend, as the server, or a pooler before it, has told it. */
export function processIdOf(client: ClientLike): number | undefined {
  return internals(client).processID ?? undefined
}

const QUERY_TIMEOUT = 'Query read timeout'

/** True for the error of a query that `query_timeout` has given up; the query still runs. */
export function isQueryTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === QUERY_TIMEOUT
}

/** pg's error for it. */
export function queryTimeout(): Error {
  return new Error(QUERY_TIMEOUT)
}

/**
 * Closes the client's socket without a word to the server; the native client shows none and is left alone.
 * @param error of the query that runs on it.
 */
export function destroySocket(client: ClientLike, error?: Error): void {
  internals(client).connection?.stream?.destroy?.(error)
}

let pipelines: boolean | undefined

/** Whether clients of that class can have several queries under way, and can be switched to it and back. */
export function canPipeline(Client: ClientConstructor): boolean {
  if (Client !== pg.Client) return false
  pipelines ??= refusesPortals()
  return pipelines
}

/**
 * From pg 8.23.1 on a pipelining client refuses what needs a portal of its own. In 8.23.0 it did not: rows went astray, and
 * callers were left hanging. Asked of the client, because a bundled pg has no version to be read.
 */
function refusesPortals(): boolean {
  const { _pulsePipelinedQueryQueue: pulse } = pg.Client.prototype as { _pulsePipelinedQueryQueue?: unknown }
  if (typeof pulse !== 'function' || typeof pg.Query !== 'function') return false
  const client = new pg.Client({ pipeline: true } as pg.ClientConfig)
  const query = new pg.Query({ text: 'select', rows: 1 } as pg.QueryConfig)
  query.on('error', () => undefined)
  client.query(query)
  return internals(client as ClientLike)._queryQueue?.length === 0
}

/** How a client was set before it was switched to pipelining. */
export interface ClientMode {
  readonly pipeline: boolean
  readonly queryTimeoutMs: unknown
}

/** Has a client at rest send queries at once, and wait for each as long as it takes: the time-outs are the caller's. */
export function startPipeline(client: ClientLike): ClientMode {
  const { pipeline = false, connectionParameters } = internals(client)
  const mode = { pipeline, queryTimeoutMs: connectionParameters?.query_timeout }
  internals(client).pipeline = true
  if (connectionParameters) connectionParameters.query_timeout = 0
  return mode
}

export function endPipeline(client: ClientLike, { pipeline, queryTimeoutMs }: ClientMode): void {
  const own = internals(client)
  own.pipeline = pipeline
  if (own.connectionParameters) own.connectionParameters.query_timeout = queryTimeoutMs
}

/** Keeps what is written until `uncork`, to go out in one system call. */
export function cork(client: ClientLike): void {
  internals(client).connection?.stream?.cork?.()
}

export function uncork(client: ClientLike): void {
  internals(client).connection?.stream?.uncork?.()
}

/** The connection of a client that can pipeline. */
export function wireOf(client: ClientLike): WireConnection {
  return internals(client).connection as WireConnection
}

/** Returns that connection to those who know the columns of their result: all that they send goes out but the question. */
export function withoutDescribe(wire: WireConnection): WireConnection {
  return Object.create(wire, { describe: { value: () => undefined } })
}

/** Calls `listener` when the server says the next time that it is ready for a query. */
export function onceServerReady(client: ClientLike, listener: () => void): void {
  wireOf(client).once('readyForQuery', listener)
}

/** What a query takes of the client's messages, in the form that pg gives it; the declarations leave it out. */
export interface WireQuery extends EventEmitter {
  readonly text: string
  values: unknown
  name: string | undefined
  binary: boolean | undefined
  queryMode: string | undefined
  callback: ((this: never, error: Error | null, result?: pg.QueryResult) => void) | undefined
  requiresPreparation(): boolean
  handleRowDescription(message: { fields: pg.FieldDef[] }): void
  submit(connection: WireConnection): Error | null
  handleError(error: Error, connection: WireConnection): void
  handleReadyForQuery(connection: WireConnection): void
}

/** pg's own query, to be derived from: a pipelining client takes no other. */
export const WireQueryBase: new (config: string | object, values?: unknown) => WireQuery = pg.Query as never

/** A socket of its own on which the server is asked to cancel what a client runs. */
export interface CancelRequest {
  /** Resolves when the server has closed the socket, which it does once the signal is sent, or when the socket has failed. */
  readonly closed: Promise<void>
  destroy(): void
}

interface CancelConnection extends EventEmitter {
  readonly stream: { destroy(): void }
  connect(portOrPath: number | string | undefined, host?: string): void
  requestSsl(): void
  cancel(processID: number, secretKey: number): void
}

/**
 * Sends a cancel request to where `client` is connected, with TLS if it has it.
 * @param stream pg's option of that name: how to make a socket. One that is made already can't be used twice.
 * @returns undefined if the client does not show what is needed.
 */
export function requestCancel(client: ClientLike, stream: unknown): CancelRequest | undefined {
  const { connection, processID, secretKey, host, port, ssl = false, sslNegotiation } = internals(client)
  if (!connection || !processID || typeof secretKey !== 'number' || typeof stream === 'object') return undefined
  const Connection = pg.Connection as unknown as new (config: object) => CancelConnection
  const request = new Connection({ ssl, sslNegotiation, stream })
  const cancel = (): void => request.cancel(processID, secretKey)
  request.on('connect', () => {
    if (!ssl) cancel()
    else if (sslNegotiation !== 'direct') request.requestSsl()
  })
  request.on('sslconnect', cancel)
  // It may fail like any socket, and then it closes.
  request.on('error', () => request.stream.destroy())
  const closed = new Promise<void>(resolve => void request.once('end', resolve))
  if (host?.startsWith('/')) request.connect(`${host}/.s.PGSQL.${port}`)
  else request.connect(port, host)
  return { closed, destroy: () => request.stream.destroy() }
}

/** Calls `fn` with each error that the server sends for the client, once whoever it is for has heard it. */
export function onServerError(client: ClientLike, fn: (error: Error) => void): void {
  const connection = internals(client).connection as EventEmitter | undefined
  connection?.on?.('errorMessage', fn)
}

/** Calls `fn` when the client's session is emptied of all that it holds, by `DISCARD ALL`. */
export function onDiscard(client: ClientLike, fn: () => void): void {
  const connection = internals(client).connection as EventEmitter | undefined
  connection?.on?.('commandComplete', ({ text }: { text?: string }) => {
    if (text === 'DISCARD ALL') fn()
  })
}

/** Ends a client that may not be connected yet. */
export function abandonConnect(client: ClientLike): void {
  if (internals(client).connection) destroySocket(client)
  else if (typeof client.end === 'function') client.end(() => undefined)
}
