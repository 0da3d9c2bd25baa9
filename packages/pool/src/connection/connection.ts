/** One connection of the pool: a client that keeps its identity, and what the pool knows of it. */

import { type ClientLike, destroySocket, isQueryable, onServerError } from '../driver.js'
import type { Lease } from '../engine/lease.js'
import type { Lane } from '../lanes/lane.js'
import type { NamesOfConnection } from '../lanes/names.js'
import { CONNECTION_LOST } from '../pool-errors.js'
import { isLastWord } from './session-errors.js'

export class Connection {
  readonly client: ClientLike
  /** Set while someone has the client. */
  lease: Lease<Connection> | undefined = undefined
  /** Set once callers have shared the client. */
  lane: Lane | undefined = undefined
  /** Of the statements that were prepared for those who share it. */
  names: NamesOfConnection | undefined = undefined
  /** Whether the backend that answers is the one that was connected to; undefined until it was asked. */
  isDirect: boolean | undefined = undefined
  /** False once the application has had the client. */
  isNew = true
  /** When the application got it, by the coarse clock. */
  lentAt = 0
  /** When it was last put to rest, by the coarse clock. */
  restsSince = 0
  /** Its socket or its backend is gone. */
  isLost = false
  /** What it was lost by, unless it ended without an error. */
  lostBy: Error | undefined = undefined
  readonly #lose: (error?: Error) => void

  /** @param onLost called once, when the connection is lost by an error, or ends without one. */
  constructor(client: ClientLike, onLost: (connection: Connection) => void) {
    this.client = client
    this.#lose = error => {
      if (this.isLost) return
      this.isLost = true
      this.lostBy = error
      onLost(this)
    }
    this.listen()
    client.on('end', () => this.#lose())
    // pg tells such an error to the query that runs, the pool's own among them, and to nobody else.
    onServerError(client, error => this.hear(error))
  }

  get isUsable(): boolean {
    return !this.isLost && isQueryable(this.client)
  }

  /** What someone hears who was to have it. */
  get loss(): Error {
    return this.lostBy ?? new Error(CONNECTION_LOST)
  }

  /** Takes note of an error that its user, or the pool, was told: after the server's last word it is lost. */
  hear(error: unknown): void {
    if (isLastWord(error)) this.#lose(error as Error)
  }

  /**
   * Closes the socket for good.
   * @param lostBy without it, that is no loss to be reported.
   */
  abandon(lostBy?: Error): void {
    if (lostBy) this.#lose(lostBy)
    this.isLost = true
    destroySocket(this.client)
  }

  /** Listens for errors, unless it does already: an unheard one ends the process, and users remove all listeners. */
  listen(): void {
    if (this.client.listenerCount('error', this.#lose) === 0) this.client.on('error', this.#lose)
  }
}
