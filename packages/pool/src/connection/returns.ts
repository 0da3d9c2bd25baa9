/** What becomes of a connection that comes back: made fit for its next user, and put to rest; or sent away. */

import type { Clock, Events } from '@breakwater/kernel'
import { type ClientLike, isInTransaction, keepAlive, type PoolBase } from '../driver.js'
import type { Lease } from '../engine/lease.js'
import type { PoolEvent } from '../pool-events.js'
import type { Capacity } from '../sizing/capacity.js'
import { cancelQuery } from './cancel.js'
import type { Connection } from './connection.js'
import { isAtRest, rollBack, settle } from './restore.js'

/** How long a connection may take to be done with a query whose caller has an error for it already. */
const SETTLE_MS = 1_000

/** A query that runs on a released client: its user's own; as good as over; or cut off, because its caller has gone. */
export type Unfinished = 'await' | 'expect' | 'cancel'

export interface ReturnsHooks {
  /** Its options are read when they are needed. */
  readonly pool: PoolBase
  readonly name: string
  readonly clock: Clock
  readonly capacity: Capacity
  readonly events: Events<PoolEvent>
  /** See `requestCancel`. */
  stream(): unknown
}

export class Returns {
  readonly #hooks: ReturnsHooks
  /** Transactions that were found open. */
  leftInTransaction = 0

  constructor(hooks: ReturnsHooks) {
    this.#hooks = hooks
  }

  /** Gives a connection that can be used again to whoever is next, when all that was left on it is in order. */
  take(lease: Lease<Connection>, unfinished: Unfinished): void {
    const connection = lease.value
    if (!isAtRest(connection.client)) void this.#restore(lease, unfinished)
    else if (this.#hooks.capacity.isNeeded(connection)) void this.#attend(lease)
    else this.#putBack(lease)
  }

  /** Notes that nobody uses a connection from now on. */
  rests(connection: Connection): void {
    connection.restsSince = this.#hooks.clock.coarse()
    if (this.#hooks.pool.options.allowExitOnIdle) keepAlive(connection.client, false)
  }

  async #restore(lease: Lease<Connection>, unfinished: Unfinished): Promise<void> {
    const { client } = lease.value
    if (!(await this.#settle(client, unfinished))) {
      lease.value.abandon()
      return lease.retire()
    }
    if (isInTransaction(client)) {
      const { clock, events, name: pool } = this.#hooks
      const rolledBack = await rollBack(client, clock)
      this.leftInTransaction++
      events.emit({ type: 'transaction-left-open', pool, rolledBack, acquiredAt: lease.acquiredAt })
      if (!rolledBack) return lease.retire()
    }
    await this.#attend(lease)
  }

  #settle(client: ClientLike, unfinished: Unfinished): Promise<boolean> {
    const { clock, stream } = this.#hooks
    if (unfinished === 'cancel') return cancelQuery(client, stream(), SETTLE_MS, clock)
    return settle(client, unfinished === 'await' ? Number.POSITIVE_INFINITY : SETTLE_MS, clock)
  }

  async #attend(lease: Lease<Connection>): Promise<void> {
    const { capacity } = this.#hooks
    const reason = capacity.isNeeded(lease.value) ? await capacity.attend(lease.value) : undefined
    if (reason) lease.retire(reason)
    else this.#putBack(lease)
  }

  #putBack(lease: Lease<Connection>): void {
    this.rests(lease.value)
    lease.release()
  }
}
