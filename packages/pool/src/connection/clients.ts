/**
 * The life of a client in the pool, from the opening of its connection to its end: who has it, what is done about it when
 * it comes back, and which of pg's events tell of it.
 */

import { type Clock, Events } from '@breakwater/kernel'
import { type ClientLike, isInTransaction, keepAlive, type PoolBase, type QueryResult } from '../driver.js'
import type { Lease } from '../engine/lease.js'
import { ResourcePool } from '../engine/resource-pool.js'
import type { AcquireOptions } from '../engine/waits.js'
import { inDriverWords, RELEASED_TWICE, traced, usage } from '../pool-errors.js'
import type { PoolEvent, PoolStats } from '../pool-events.js'
import type { ResolvedPoolOptions } from '../pool-options.js'
import { closeClient } from './close.js'
import type { Connection } from './connection.js'
import { dispatch, type Query } from './dispatch.js'
import { openConnection } from './open.js'
import { isAtRest, rollBack, settle } from './restore.js'
import { endsSession } from './session-errors.js'

/** How long a connection may take to be done with a query whose caller has an error for it already. */
const SETTLE_MS = 1_000

export class Clients {
  /** Emits pg's events; its options are read when they are needed, as pg-pool does. */
  readonly #pool: PoolBase
  readonly #onQueryError: 'keep' | 'destroy'
  readonly #clock: Clock
  #lost = 0
  #leftInTransaction = 0
  readonly connections: ResourcePool<Connection>
  readonly events: Events<PoolEvent> = new Events()

  constructor(pool: PoolBase, { engine, clock, onQueryError }: ResolvedPoolOptions) {
    this.#pool = pool
    this.#onQueryError = onQueryError
    this.#clock = clock
    this.connections = new ResourcePool<Connection>({
      ...engine,
      factory: {
        create: ({ signal }) => this.#open(signal),
        destroy: (connection, { force }) => this.#close(connection, force),
      },
    })
    this.connections.observe(event => this.events.emit(event))
  }

  stats(): PoolStats {
    return { ...this.connections.stats(), lost: this.#lost, leftInTransaction: this.#leftInTransaction }
  }

  /** Resolves with a client that is the caller's until its `release`, which is a new function for each checkout. */
  async checkOut(options?: AcquireOptions): Promise<ClientLike> {
    const lease = this.connections.tryAcquire() ?? (await this.#acquire(options))
    this.#lend(lease)
    if (lease.value.isNew) await this.#verify(lease.value)
    return lease.value.client
  }

  /** Runs one query on a client that is its own meanwhile. */
  async run(query: Query, values: unknown, signal: AbortSignal | undefined): Promise<QueryResult> {
    const lease = this.connections.tryAcquire() ?? (await this.#acquire({ signal }))
    this.#lend(lease)
    if (lease.value.isNew) await this.#verify(lease.value)
    try {
      const result = await dispatch(lease.value.client, query, values, signal)
      this.#release(lease)
      return result
    } catch (error) {
      this.#releaseFailed(lease, error)
      throw traced(error)
    }
  }

  async #acquire(options: AcquireOptions | undefined): Promise<Lease<Connection>> {
    try {
      return await this.connections.acquire(options)
    } catch (error) {
      throw traced(inDriverWords(error))
    }
  }

  #lend(lease: Lease<Connection>): void {
    const connection = lease.value
    const { client } = connection
    connection.lease = lease
    client.release = error => this.#release(lease, error)
    if (this.#pool.options.allowExitOnIdle) keepAlive(client, true)
    try {
      this.#pool.emit('acquire', client)
    } catch (error) {
      client.release()
      throw error
    }
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

  /** @param settleMs longest wait for a query that still runs; by default the user's business, as in pg. */
  #release(lease: Lease<Connection>, error?: Error | boolean, settleMs = Number.POSITIVE_INFINITY): void {
    const connection = lease.value
    if (connection.lease !== lease) throw usage('POOL_LEASE_RELEASED', RELEASED_TWICE)
    connection.lease = undefined
    connection.listen()
    try {
      this.#pool.emit('release', error, connection.client)
    } finally {
      if (error || !connection.isUsable) lease.retire()
      else if (isAtRest(connection.client)) this.#putBack(lease)
      else void this.#restore(lease, settleMs)
    }
  }

  #releaseFailed(lease: Lease<Connection>, error: unknown): void {
    const connection = lease.value
    const isBroken = this.#onQueryError === 'destroy' || endsSession(error) || !connection.isUsable
    this.#release(lease, isBroken ? (error as Error) : undefined, SETTLE_MS)
  }

  async #restore(lease: Lease<Connection>, settleMs: number): Promise<void> {
    const { client } = lease.value
    if (!(await settle(client, settleMs, this.#clock))) return lease.retire()
    if (isInTransaction(client)) {
      const rolledBack = await rollBack(client, this.#clock)
      this.#leftInTransaction++
      this.events.emit({ type: 'transaction-left-open', pool: this.connections.name, rolledBack })
      if (!rolledBack) return lease.retire()
    }
    this.#putBack(lease)
  }

  #putBack(lease: Lease<Connection>): void {
    this.#idle(lease.value.client)
    lease.release()
  }

  #idle(client: ClientLike): void {
    if (this.#pool.options.allowExitOnIdle) keepAlive(client, false)
  }

  async #open(signal: AbortSignal): Promise<Connection> {
    const { Client, options } = this.#pool
    const { onConnect } = options
    const onLost = (connection: Connection, error: Error | undefined): void => this.#lose(connection, error)
    const connection = await openConnection({ Client, clientOptions: options, onConnect, onLost }, signal)
    try {
      this.#pool.emit('connect', connection.client)
    } catch (error) {
      await this.#close(connection, true)
      throw error
    }
    // It may go to rest at once, if its caller has been served otherwise.
    this.#idle(connection.client)
    return connection
  }

  async #close(connection: Connection, force: boolean): Promise<void> {
    connection.isLost = true
    await closeClient(connection.client, force, this.#clock)
    this.#pool.emit('remove', connection.client)
  }

  /** A client that is in use stays with its user, whose queries fail, and is retired when it is released. */
  #lose(connection: Connection, error: Error | undefined): void {
    const { client, lease } = connection
    const inUse = lease !== undefined
    if (!inUse) this.connections.retire(connection)
    if (!error) return
    this.#lost++
    this.events.emit({ type: 'connection-lost', pool: this.connections.name, inUse, error })
    if (inUse || this.#pool.listenerCount('error') === 0) return
    this.#pool.emit('error', Object.assign(error, { client }), client)
  }
}
