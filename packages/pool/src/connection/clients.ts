/**
 * The life of a client in the pool, from the opening of its connection to its end: who has it, when it goes, and which of
 * pg's events tell of it.
 */

import { type Clock, Events } from '@breakwater/kernel'
import {
  type ClientLike,
  canPipeline,
  countUse,
  isQueryTimeout,
  keepAlive,
  type PoolBase,
  processIdOf,
  type QueryResult,
  serverOf,
} from '../driver.js'
import { AcquireTimeoutError } from '../engine/errors.js'
import type { Lease } from '../engine/lease.js'
import { ResourcePool } from '../engine/resource-pool.js'
import type { RetireReason } from '../engine/slot.js'
import type { AcquireOptions } from '../engine/waits.js'
import { type Ground, Lanes } from '../lanes/lanes.js'
import type { Statement } from '../lanes/statement.js'
import { inDriverWords, RELEASED_TWICE, traced, usage } from '../pool-errors.js'
import type { PoolEvent, PoolInUse, PoolStats } from '../pool-events.js'
import type { ResolvedPoolOptions } from '../pool-options.js'
import { watchQueries } from '../queries/client-query.js'
import { QueryLog } from '../queries/query-log.js'
import { Capacity } from '../sizing/capacity.js'
import { tracedWait } from './acquire-channel.js'
import { closeConnection } from './close.js'
import type { Connection } from './connection.js'
import { dispatch, isSubmittable, type Query } from './dispatch.js'
import { Health } from './health.js'
import { openConnection } from './open.js'
import { ping } from './ping.js'
import { RetryBudget } from './retry-budget.js'
import { Returns, type Unfinished } from './returns.js'
import { endsSession, hasNotRun, isTransient, noteWhetherRun } from './session-errors.js'

export class Clients {
  /** Emits pg's events; its options are read when they are needed, as pg-pool does. */
  readonly #pool: PoolBase
  readonly #options: ResolvedPoolOptions
  readonly #clock: Clock
  readonly #all = new Set<Connection>()
  readonly #retries: RetryBudget
  readonly #health: Health
  readonly #returns: Returns
  readonly capacity: Capacity
  /** Undefined where queries share no connections. */
  readonly #lanes: Lanes | undefined
  #lost = 0
  #retried = 0
  readonly queries: QueryLog
  readonly connections: ResourcePool<Connection>
  readonly events: Events<PoolEvent> = new Events()

  constructor(pool: PoolBase, options: ResolvedPoolOptions) {
    const { engine, clock, health } = options
    this.#pool = pool
    this.#options = options
    this.#clock = clock
    this.#retries = new RetryBudget(clock)
    this.queries = new QueryLog(engine.name ?? '', clock, options.describeCaller)
    this.connections = new ResourcePool<Connection>({
      ...engine,
      factory: {
        create: ({ signal }) => this.#open(signal),
        destroy: (connection, { force }) => this.#close(connection, force),
        isTransient,
        ...(health && { validate: (connection, { signal }) => this.#timed(this.#health.isAlive(connection, signal)) }),
      },
    })
    const retire = (connection: Connection): void => this.connections.retire(connection)
    this.#health = new Health({ name: engine.name ?? '', pool, clock, connections: this.#all, retire }, health)
    this.connections.observe(event => {
      // One timer serves all who wait; whose time is up hears of it below, in his own context.
      if (event.type !== 'acquire-timed-out') this.events.emit(event)
    })
    this.capacity = new Capacity(
      { ...options.capacity, name: this.connections.name, clock },
      {
        connections: this.connections,
        lanes: () => this.#lanes?.stats(),
        workMs: text => this.#lanes?.statements.workMs(text),
        mayShare: ms => this.#lanes?.statements.mayShare(ms) === true,
        discard: connection => this.#discard(connection),
        emit: event => this.events.emit(event),
      },
    )
    this.queries.timed = this.capacity.timed
    this.#returns = new Returns({
      ...{ pool, clock, name: this.connections.name, capacity: this.capacity, events: this.events },
      stream: () => this.#stream,
    })
    const isOn = options.pipeline && options.onQueryError === 'keep' && canPipeline(pool.Client)
    this.#lanes = isOn ? new Lanes(this.#ground()) : undefined
  }

  #ground(): Ground {
    const { engine, clock } = this.#options
    return {
      pool: this.#pool,
      clock,
      connections: this.connections,
      log: this.queries,
      maxUses: engine.maxUses ?? Number.POSITIVE_INFINITY,
      isFresh: connection => this.#health.isFresh(connection),
      look: connection => this.#health.look(connection),
      acquire: options => this.#wait(options),
      refused: error => this.#refused(error),
      admit: lease => this.#admit(lease),
      occupy: lease => this.#occupy(lease),
      vacate: (lease, reason) => this.#vacate(lease, reason),
      alone: (query, values, signal) => this.#runAlone(query, values, signal, undefined),
      mayRetry: () => this.#mayRetry(),
      stream: () => this.#stream,
      queryTimeoutMs: () => Number((this.#pool.options as { query_timeout?: unknown }).query_timeout) || 0,
      queryTags: this.#options.queryTags,
      onNamesOff: code => this.events.emit({ type: 'names-off', pool: this.connections.name, code }),
    }
  }

  stats(): PoolStats {
    const own = { lost: this.#lost, leftInTransaction: this.#returns.leftInTransaction, retried: this.#retried }
    const { succeeded: query, failed: queryFailed, server } = this.queries
    const { fleet, sizing } = this.capacity
    const sized = { ...(fleet && { fleet }), ...(sizing && { sizing }) }
    const lanes = this.#lanes?.stats()
    return { ...this.connections.stats(), ...own, lanes, query, queryFailed, server, ...sized }
  }

  /** See `Pool.inUse`. */
  inUse(): PoolInUse {
    const now = this.#clock.coarse()
    const clients = [...this.#all].flatMap(({ lease, lentAt, client }) => {
      if (lease === undefined) return []
      const { acquiredAt } = lease
      const processId = processIdOf(client)
      return [
        {
          heldMs: Math.round(now - lentAt),
          ...(processId !== undefined && { processId }),
          ...(acquiredAt !== undefined && { acquiredAt }),
        },
      ]
    })
    return { queries: this.queries.underWay(), clients, pending: this.connections.state().pending }
  }

  /** Resolves with a client that is the caller's until its `release`, which is a new function for each checkout. */
  async checkOut(options?: AcquireOptions): Promise<ClientLike> {
    const idle = this.connections.tryAcquire()
    const lease = idle && this.#health.isFresh(idle.value) ? idle : await this.#take(idle, options)
    this.#lend(lease)
    if (lease.value.isNew) await this.#verify(lease.value)
    return lease.value.client
  }

  /** Runs one query: on a client that it shares with others, or on one that is its own meanwhile. */
  run(query: Query, values: unknown, signal: AbortSignal | undefined): Promise<QueryResult> {
    this.#retries.count()
    const statement = this.#lanes?.statements.read(query, values)
    if (statement && this.#lanes?.shares(statement)) return this.#lanes.run(statement, query, values, signal)
    return this.#runAlone(query, values, signal, statement)
  }

  /**
   * Runs one query on a client that is its own meanwhile; on another if it has not run on the first.
   * @param statement whose time is to be noted.
   */
  async #runAlone(
    query: Query,
    values: unknown,
    signal: AbortSignal | undefined,
    statement: Statement | undefined,
  ): Promise<QueryResult> {
    for (let isFirst = true; ; isFirst = false) {
      const idle = this.connections.tryAcquire()
      const lease = idle && this.#health.isFresh(idle.value) ? idle : await this.#take(idle, { signal })
      this.#lend(lease)
      if (lease.value.isNew) await this.#verify(lease.value)
      try {
        const sentAt = statement && this.#lanes?.now()
        const result = await dispatch(lease.value.client, query, values, signal)
        if (sentAt !== undefined) this.#lanes?.statements.ranAlone(statement as Statement, sentAt, result)
        this.#release(lease)
        return result
      } catch (error) {
        this.#releaseFailed(lease, error, signal)
        const isAgain = isFirst && hasNotRun(error) && !isSubmittable(query) && this.#mayRetry()
        if (!isAgain) throw traced(error)
      }
    }
  }

  #mayRetry(): boolean {
    const may = this.#retries.take()
    if (may) this.#retried++
    return may
  }

  /** Runs one query as pg does, on a client that the application's own way of connecting has got. */
  async runOn(
    client: ClientLike,
    query: Query,
    values: unknown,
    signal: AbortSignal | undefined,
  ): Promise<QueryResult> {
    try {
      const result = await dispatch(client, query, values, signal)
      client.release()
      return result
    } catch (error) {
      // It may be wrapped, so no more is known of it than what the error says.
      client.release(this.#isFatal(error) || hasLeft(error, signal) ? (error as Error) : undefined)
      throw traced(error)
    }
  }

  /** Resolves with a connection that is not known to be lost; those that are, are closed on the way. */
  async #take(idle: Lease<Connection> | undefined, options: AcquireOptions | undefined): Promise<Lease<Connection>> {
    try {
      for (let lease = idle; ; lease = this.connections.tryAcquire()) {
        lease ??= await this.#wait(options)
        if (this.#health.isFresh(lease.value) || (await this.#health.look(lease.value))) return lease
        lease.retire()
      }
    } catch (error) {
      throw traced(this.#refused(error))
    }
  }

  #wait(options: AcquireOptions | undefined): Promise<Lease<Connection>> {
    const lease = tracedWait(this.connections.name, () => this.connections.acquire(options))
    this.capacity.waits(this.#pool.options.max)
    return lease
  }

  /** Returns what a caller hears who has waited in vain; called in its context. */
  #refused(error: unknown): unknown {
    if (error instanceof AcquireTimeoutError) {
      const { elapsedMs = 0 } = error
      this.events.emit({ type: 'acquire-timed-out', pool: this.connections.name, elapsedMs })
    }
    return inDriverWords(error)
  }

  #occupy(lease: Lease<Connection>): void {
    const connection = lease.value
    connection.lease = lease
    connection.lentAt = this.#clock.coarse()
    this.#health.watch()
    this.capacity.watch()
    if (this.#pool.options.allowExitOnIdle) keepAlive(connection.client, true)
  }

  #vacate(lease: Lease<Connection>, reason: RetireReason | undefined): void {
    const connection = lease.value
    connection.lease = undefined
    connection.listen()
    if (reason || !connection.isUsable) lease.retire(reason)
    else this.#returns.take(lease, 'await')
  }

  #lend(lease: Lease<Connection>): void {
    const { client } = lease.value
    this.#occupy(lease)
    client.release = error => this.#release(lease, error)
    try {
      this.#pool.emit('acquire', client)
    } catch (error) {
      client.release()
      throw error
    }
  }

  /** As the first caller of a connection would. */
  async #admit(lease: Lease<Connection>): Promise<void> {
    const connection = lease.value
    if (!connection.isNew) return
    this.#lend(lease)
    await this.#verify(connection)
    connection.lease = undefined
    this.#pool.emit('release', undefined as never, connection.client)
  }

  /** What pg calls `verify`: the application looks at a new client before its first caller gets it. */
  #verify(connection: Connection): Promise<void> {
    const { client } = connection
    connection.isNew = false
    return new Promise((resolve, reject) => {
      const refuse = (error: Error): void => {
        client.release(error)
        reject(error)
      }
      const { verify } = this.#pool.options
      if (!verify) return resolve()
      try {
        verify(client, error => (error ? refuse(error) : resolve()))
      } catch (error) {
        refuse(error as Error)
      }
    })
  }

  /** @param unfinished what to do about a query that still runs; by default it is the user's business, as in pg. */
  #release(lease: Lease<Connection>, error?: Error | boolean, unfinished: Unfinished = 'await'): void {
    const connection = lease.value
    if (connection.lease !== lease) throw usage('POOL_LEASE_RELEASED', RELEASED_TWICE)
    // A user who gives it back from within his query's callback is quicker than the connection's own ear.
    connection.hear(error)
    connection.lease = undefined
    connection.listen()
    countUse(connection.client)
    try {
      this.#pool.emit('release', error, connection.client)
    } finally {
      if (error || !connection.isUsable) lease.retire()
      else this.#returns.take(lease, unfinished)
    }
  }

  #releaseFailed(lease: Lease<Connection>, error: unknown, signal: AbortSignal | undefined): void {
    const { isUsable } = lease.value
    if (error !== signal?.reason) noteWhetherRun(error, isQueryTimeout(error) || !isUsable)
    const isBroken = this.#isFatal(error) || !isUsable
    this.#release(lease, isBroken ? (error as Error) : undefined, hasLeft(error, signal) ? 'cancel' : 'expect')
  }

  #isFatal(error: unknown): boolean {
    return this.#options.onQueryError === 'destroy' || endsSession(error)
  }

  get #stream(): unknown {
    return (this.#pool.options as { stream?: unknown }).stream
  }

  async #open(signal: AbortSignal): Promise<Connection> {
    const { Client, options: clientOptions } = this.#pool
    const { onConnect } = clientOptions
    // What is lost before the pool has it is a creation that failed, and heard of as such.
    let isOpen = false
    const onLost = (connection: Connection): void => {
      if (isOpen) this.#lose(connection)
    }
    const prepare = (client: ClientLike): void => {
      this.queries.server = serverOf(client)
      watchQueries(client, this.queries, this.#options.queryTags)
    }
    const connect = (): Promise<Connection> =>
      openConnection({ Client, clientOptions, prepare, onConnect, onLost }, signal)
    const connection = await this.capacity.open(connect, signal)
    this.#all.add(connection)
    try {
      if (this.#lanes) await this.#prepareToShare(connection, signal)
      this.#pool.emit('connect', connection.client)
      // The server's last words may have come with its answer.
      if (connection.isLost) throw connection.loss
    } catch (error) {
      await this.#close(connection, true)
      throw error
    }
    isOpen = true
    // It may go to rest at once, if its caller has been served otherwise.
    this.#returns.rests(connection)
    return connection
  }

  /** Lanes have to know what of a query's time is the way to the server and back. */
  async #prepareToShare(connection: Connection, signal: AbortSignal): Promise<void> {
    if (!(await this.#timed(ping(connection, signal)))) throw connection.loss
  }

  /** @param answered whether the server answers to an empty query. */
  async #timed(answered: Promise<boolean>): Promise<boolean> {
    const askedAt = this.#clock.now()
    const isAlive = await answered
    if (isAlive) this.#lanes?.statements.pinged(this.#clock.now() - askedAt)
    return isAlive
  }

  async #close(connection: Connection, force: boolean): Promise<void> {
    this.#all.delete(connection)
    this.capacity.left(connection)
    await closeConnection(connection, { clock: this.#clock, force, stream: this.#stream })
    this.#pool.emit('remove', connection.client)
  }

  /** For one that has come to nobody. */
  #discard(connection: Connection): Promise<void> {
    return closeConnection(connection, { clock: this.#clock, force: true, stream: this.#stream })
  }

  /** A client that is in use stays with its user, whose queries fail, and is retired when it is released. */
  #lose(connection: Connection): void {
    const { client, lease, lostBy: error } = connection
    const inUse = lease !== undefined
    if (!inUse) this.connections.retire(connection)
    connection.lane?.lost()
    if (!error) return
    this.#lost++
    const who = { processId: processIdOf(client), acquiredAt: lease?.acquiredAt }
    this.events.emit({ type: 'connection-lost', pool: this.connections.name, inUse, error, ...who })
    if (inUse || this.#pool.listenerCount('error') === 0) return
    this.#pool.emit('error', Object.assign(error, { client }), client)
  }
}

/** Tells whether the caller has not waited for the end of its query. */
function hasLeft(error: unknown, signal: AbortSignal | undefined): boolean {
  return isQueryTimeout(error) || (signal?.aborted === true && error === signal.reason)
}
