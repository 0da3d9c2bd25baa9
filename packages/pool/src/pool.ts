/**
 * `pg.Pool` to whoever uses it, in options, methods, events and messages. Where it does otherwise its docstrings say so:
 * no wait and no stop without an end, no crash for a lost connection, no open transaction for the next one.
 */

import type { Managed } from '@breakwater/kernel'
import { Clients } from './connection/clients.js'
import type { Query } from './connection/dispatch.js'
import { deliver } from './deliver.js'
import {
  type ClientConstructor,
  connectOfPg,
  PoolBase,
  type PoolClient,
  type QueryArrayConfig,
  type QueryArrayResult,
  type QueryConfig,
  type QueryConfigValues,
  type QueryResult,
  type QueryResultRow,
  type Submittable,
} from './driver.js'
import type { Size } from './engine/options.js'
import type { AcquireOptions, StopOptions } from './engine/waits.js'
import { ENDED, ENDED_TWICE, FUNCTION_AS_QUERY, inDriverWords, stopped, usage } from './pool-errors.js'
import type { PoolDuration, PoolEvent, PoolInUse, PoolStats } from './pool-events.js'
import { DEFAULT_CONNECTION_TIMEOUT_MS, KEEP_ALIVE_MS, type PoolConfig, resolvePoolOptions } from './pool-options.js'

// biome-ignore lint/suspicious/noExplicitAny: pg's own default for the type of a row, and of the values of a query.
type Any = any

/** What `query` takes beyond pg's config. */
export interface Abortable {
  signal?: AbortSignal | undefined
}

interface State {
  readonly clients: Clients
  endCalled: boolean
}

export class Pool extends PoolBase implements Managed, AsyncDisposable {
  readonly name: string
  /** Not under `#`: applications put pools behind proxies, which have no `#` of the pool's. */
  declare private readonly _breakwater: State

  /**
   * @param Client what to connect with; default: pg's own, or the option of that name.
   * @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`, listing every fault.
   */
  constructor(options?: PoolConfig | null, Client?: ClientConstructor) {
    const resolved = resolvePoolOptions(options)
    super(options ?? undefined)
    if (Client && !options?.Client) this.Client = Client
    // null is pg's "no limit", and stays.
    const isUnset = this.options.connectionTimeoutMillis === undefined
    if (isUnset) this.options.connectionTimeoutMillis = DEFAULT_CONNECTION_TIMEOUT_MS
    if (resolved.health && this.options.keepAlive === undefined) {
      this.options.keepAlive = true
      this.options.keepAliveInitialDelayMillis ??= KEEP_ALIVE_MS
    }
    if (resolved.capacity.sizing) this.options.max = resolved.capacity.max
    const clients = new Clients(this, resolved)
    // Not enumerable: whoever prints a pool wants to see pg's part of it.
    Object.defineProperty(this, '_breakwater', { value: { clients, endCalled: false } satisfies State })
    this.name = clients.connections.name
    if (this.options.log) this.observe(event => this.log(event.type, event))
  }

  /** Clients in any state: connecting, idle or with the application. */
  get totalCount(): number {
    const { idle, leased, creating } = this._breakwater.clients.connections.state()
    return idle + leased + creating
  }

  get idleCount(): number {
    return this._breakwater.clients.connections.state().idle
  }

  /** Callers that wait for a client to be released; those for whom one is connecting do not count, as in pg. */
  get waitingCount(): number {
    const { pending, creating } = this._breakwater.clients.connections.state()
    return Math.max(0, pending - creating)
  }

  /** Clients with the application that are past `maxLifetimeSeconds` and will be closed when they are released. */
  get expiredCount(): number {
    return this.stats().expired
  }

  /**
   * Resolves with a client that is the caller's alone until `client.release()`. Rejects with the driver's own error if a
   * connect fails while this caller is the one that has waited longest; with the signal's reason; or after
   * `connectionTimeoutMillis` with pg's message, code `POOL_ACQUIRE_TIMEOUT`, the pool's state as `stats` and the last
   * error of a connect as `cause`.
   */
  override connect(options?: AcquireOptions): Promise<PoolClient>
  override connect(
    callback: (error: Error | undefined, client: PoolClient | undefined, done: (release?: Any) => void) => void,
  ): void
  override connect(first?: AcquireOptions | ((...outcome: Any[]) => void)): unknown {
    const hasCallback = typeof first === 'function'
    if (isPatched() && !this.ending && (hasCallback || first === undefined)) return super.connect(first)
    const client = this.ending
      ? Promise.reject(stopped(ENDED))
      : this._breakwater.clients.checkOut(hasCallback ? undefined : first)
    if (!hasCallback) return own(this, client)
    return deliver(
      client,
      client => first(undefined, client, client.release),
      error => first(error, undefined, () => undefined),
    )
  }

  /**
   * Runs one query on a connection of its own and resolves with its result. Other than pg it keeps the connection of a
   * query that failed, if the connection is as good as before (see `onQueryError`).
   * @param config.signal ends the wait for a connection, and the query: it is cancelled in the database, as is one that
   * `query_timeout` gives up. Its connection is used again when both have ended, or else closed within a second.
   */
  query<T extends Submittable>(submittable: T): T
  query<R extends Any[] = Any[], I = Any[]>(
    config: QueryArrayConfig<I> & Abortable,
    values?: QueryConfigValues<I>,
  ): Promise<QueryArrayResult<R>>
  query<R extends QueryResultRow = Any, I = Any[]>(
    config: string | (QueryConfig<I> & Abortable),
    values?: QueryConfigValues<I>,
  ): Promise<QueryResult<R>>
  query<R extends Any[] = Any[], I = Any[]>(
    config: QueryArrayConfig<I>,
    callback: (error: Error, result: QueryArrayResult<R>) => void,
  ): void
  query<R extends QueryResultRow = Any, I = Any[]>(
    config: string | QueryConfig<I>,
    callback: (error: Error, result: QueryResult<R>) => void,
  ): void
  query<R extends QueryResultRow = Any, I = Any[]>(
    text: string,
    values: QueryConfigValues<I>,
    callback: (error: Error, result: QueryResult<R>) => void,
  ): void
  query(query: Query, second?: unknown, third?: unknown): unknown {
    if (typeof query === 'function') {
      const refused = Promise.reject(usage('POOL_QUERY_INVALID', FUNCTION_AS_QUERY))
      return deliver(refused, () => undefined, query as (error: unknown) => void)
    }
    const [values, callback] = typeof second === 'function' ? [undefined, second] : [second, third]
    const signal = (query as Abortable | null | undefined)?.signal
    const result = run(this, this._breakwater.clients, query, values, signal)
    if (typeof callback !== 'function') return own(this, result)
    return deliver(
      result,
      result => callback(undefined, result),
      error => callback(error),
    )
  }

  /**
   * Takes no new callers, serves those that wait until every client is released, and resolves when every socket is
   * closed. After `drainTimeout` it rejects who still waits and takes away what was not released, where pg waits for ever.
   */
  end(): Promise<void>
  end(callback: (error?: Error) => void): void
  end(callback?: (error?: Any) => void): unknown {
    const state = this._breakwater
    const ended = state.endCalled ? Promise.reject(stopped(ENDED_TWICE)) : this.dispose()
    state.endCalled = true
    if (!callback) return own(this, ended)
    return deliver(ended, () => callback(), callback)
  }

  /** Connects `min` clients, at least one, and keeps `min` connected from then on. Rejects if not one could connect. */
  async init(options?: StopOptions): Promise<void> {
    try {
      await this._breakwater.clients.connections.init(options)
    } catch (error) {
      throw inDriverWords(error)
    }
  }

  /**
   * Changes `max` and `min`, `max` also where applications look for it, in `options`. Growing serves those who wait at once;
   * when shrinking, idle connections go first, others as they are released. A `sizing` or a `fleet` may still allow less.
   * @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`.
   */
  resize(size: Size): void {
    this._breakwater.clients.capacity.resize(size)
    if (size.max !== undefined) this.options.max = size.max
  }

  /** Takes no new callers and resolves when every client is released; see `ResourcePool.drain`. */
  drain(options?: StopOptions): Promise<void> {
    this.ending = true
    this._breakwater.clients.capacity.stop()
    return this._breakwater.clients.connections.drain(options)
  }

  /** `end()` with a deadline of its own, as often as you like; never rejects. */
  async dispose(options?: StopOptions): Promise<void> {
    this.ending = true
    this._breakwater.clients.capacity.stop()
    await this._breakwater.clients.connections.dispose(options)
    this.ended = true
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** Calls `listener` with all that the pool reports from now on, until the returned function is called. */
  observe(listener: (event: PoolEvent) => void): () => void {
    return this._breakwater.clients.events.subscribe(listener)
  }

  /**
   * Calls `listener` with each duration as it is counted, until the returned function is called: for those who keep
   * histograms of their own. `stats()` has them all and costs nothing.
   */
  observeDurations(listener: (duration: PoolDuration) => void): () => void {
    const { connections, queries } = this._breakwater.clients
    const stops = [connections.observeDurations(listener), queries.durations.subscribe(listener)]
    return () => {
      for (const stop of stops) stop()
    }
  }

  /** Returns what is asked of the pool at this moment, for the one who wants to know whom a stop is waiting for. */
  inUse(): PoolInUse {
    return this._breakwater.clients.inUse()
  }

  stats(): PoolStats {
    return this._breakwater.clients.stats()
  }

  /**
   * What pg-pool's own `connect` ends in, for a pool in which it finds nothing idle: where tracers have wrapped
   * `pg.Pool.prototype.connect`, ours goes through theirs and comes out here.
   * @internal
   */
  newClient(pending: { callback(error: unknown, client?: PoolClient, done?: (release?: Any) => void): void }): void {
    deliver(
      this._breakwater.clients.checkOut(),
      client => pending.callback(undefined, client, client.release),
      error => pending.callback(error, undefined, () => undefined),
    )
  }
}

/** With `options.Promise` set, pg's promises are of that kind. */
function own<R>(pool: Pool, outcome: Promise<R>): Promise<R> {
  if (pool.Promise === globalThis.Promise) return outcome
  return new pool.Promise((resolve, reject) => void outcome.then(resolve, reject))
}

function run(
  pool: Pool,
  clients: Clients,
  query: Query,
  values: unknown,
  signal: AbortSignal | undefined,
): Promise<QueryResult> {
  if (pool.ending) return Promise.reject(stopped(ENDED))
  // A subclass's `connect`, or a wrapped one, is what pg's `query` goes through, too.
  if (pool.connect === ownConnect && !isPatched()) return clients.run(query, values, signal)
  const connected = new Promise<PoolClient>((resolve, reject) => {
    pool.connect((error, client) => (client ? resolve(client) : reject(error)))
  })
  return connected.then(client => clients.runOn(client, query, values, signal))
}

const ownConnect = Pool.prototype.connect

/** Whether `pg.Pool.prototype.connect` is not pg's any more. Tracers that come first are known by shimmer's mark. */
const stockConnect = connectOfPg()
function isPatched(): boolean {
  const connect = connectOfPg()
  return connect !== stockConnect || connect.__wrapped === true
}
