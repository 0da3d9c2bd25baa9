/**
 * One connection that carries the queries of many callers at once, from the first of them until it is at rest again: each
 * with a Sync of its own, answered in the order in which they were written. It is opened again for the next ones.
 */

import type { Connection } from '../connection/connection.js'
import {
  type CancelRequest,
  type ClientMode,
  cork,
  endPipeline,
  isInTransaction,
  onceServerReady,
  type QueryResult,
  startPipeline,
  uncork,
  usesOf,
  type WireConnection,
  wireOf,
  withoutDescribe,
} from '../driver.js'
import type { Lease } from '../engine/lease.js'
import { DirectQuery } from './direct-query.js'
import { LaneQuery } from './lane-query.js'
import { NamesOfConnection } from './names.js'
import type { Request } from './request.js'

/** More would all be lost with the connection, and hardly carry more. How long a lane gets is for its backlog to say. */
export const MOST_QUERIES = 500

/** What a lane's owner is told, and asked. */
export interface LaneHooks {
  /** When this turn of the event loop began. */
  now(): number
  /** Whether statements are prepared under names. */
  hasNames(): boolean
  /** The server is through with a query, after so long; `isFirstOfTurn` if it is the first answer of this turn. */
  over(query: LaneQuery, waitedSince: number, isFirstOfTurn: boolean): void
  succeeded(query: LaneQuery, result: QueryResult): void
  failed(query: LaneQuery, error: Error): void
  /** There is room for another query. */
  moved(lane: Lane): void
  /** Nothing is under way any more, and nothing more will be. */
  ended(lane: Lane): void
}

export class Lane {
  readonly connection: Connection
  /** The present one, or the last. */
  lease!: Lease<Connection>
  openedAt = 0
  readonly #hooks: LaneHooks
  #mode!: ClientMode
  readonly #uncork = (): void => {
    this.writes++
    this.#isCorked = false
    uncork(this.connection.client)
    for (let query = this.#unwritten; query; query = query.next) query.expect()
    this.#unwritten = undefined
  }
  #isCorked = false
  #undescribed: WireConnection | undefined = undefined
  #isOver = true
  #oldest: LaneQuery | undefined
  /** The first of those that were not yet handed to the system. */
  #unwritten: LaneQuery | undefined
  #newest: LaneQuery | undefined
  /** Its error has come, but the server has not yet said that it is ready for the next one. */
  #unready: LaneQuery | undefined
  #size = 0
  /** When the query that is the oldest now became that; at work on it is the server since then at the earliest. */
  oldestSince = 0
  /** When an answer came last. */
  #answeredAt = -1
  /** Callers who are about to join it. */
  reserved = 0
  /** Writes that were handed to the system. */
  writes = 0
  /** It takes no more, and is over when it is empty. */
  isClosing = false
  /** Its connection must not be used again. */
  isBroken = false
  /** Cancel requests that were sent for it: any of its queries may have been hit. */
  cancels = 0
  /** The one that is under way. */
  cancelling: CancelRequest | undefined = undefined
  /** The server's last word has come; what had no answer by then was not read. */
  isShutDown = false
  /** Mean times of its queries, added up. */
  backlogMs = 0

  constructor(connection: Connection, hooks: LaneHooks) {
    this.connection = connection
    this.#hooks = hooks
  }

  /** Only when it is new, or over; one that is broken is never opened again. */
  open(lease: Lease<Connection>): void {
    this.lease = lease
    this.openedAt = this.#hooks.now()
    this.#mode = startPipeline(this.connection.client)
    this.#isOver = false
    this.isClosing = false
    this.cancels = 0
    this.#answeredAt = -1
  }

  /** Queries under way, or about to be. */
  get size(): number {
    return this.#size + this.reserved
  }

  get oldest(): LaneQuery | undefined {
    return this.#oldest
  }

  get isOpen(): boolean {
    return !this.isClosing && this.connection.isUsable
  }

  /** Queries that its connection has had, those under way among them. */
  get uses(): number {
    return usesOf(this.connection.client) + this.#size
  }

  get names(): NamesOfConnection {
    this.connection.names ??= new NamesOfConnection()
    return this.connection.names
  }

  /** Writes a query behind the others; what is written in one turn goes out at its end. */
  ask(request: Request): void {
    const { client } = this.connection
    if (!this.#isCorked) {
      this.#isCorked = true
      cork(client)
      process.nextTick(this.#uncork)
    }
    if (this.connection.isDirect === undefined) client.query(new DirectQuery(this) as never)
    client.query(new LaneQuery(request, this, this.#hooks.now(), this.writes) as never)
  }

  /** Gives a query a name, if its statement is worth one. */
  name(query: LaneQuery, wire: WireConnection): void {
    const { statement, query: asked, sent } = query.request
    const name = this.#hooks.hasNames() && sent === asked ? statement.use() : undefined
    if (name === undefined) return
    query.prepared = this.names.use(name, wire)
    if (query.prepared) query.name = query.ownName = name
  }

  /** What queries are written to that know the columns of their result. */
  get undescribed(): WireConnection {
    this.#undescribed ??= withoutDescribe(wireOf(this.connection.client))
    return this.#undescribed
  }

  sent(query: LaneQuery): void {
    query.isFirst = this.#oldest === undefined
    if (this.#newest) this.#newest.next = query
    else {
      this.#oldest = query
      this.oldestSince = query.sentAt
    }
    this.#newest = query
    this.#unwritten ??= query
    this.#size++
    query.expectedMs = query.request.statement.shape.ms ?? 0
    this.backlogMs += query.expectedMs
  }

  /** The server skips to the query's Sync now, and says when it is there; if the connection is lost nobody says anything. */
  errorCame(query: LaneQuery): void {
    if (query !== this.#oldest) return
    if (this.connection.isUsable) {
      this.#unready = query
      onceServerReady(this.connection.client, this.ready)
    } else this.over(query)
  }

  /** The server is through with a query. */
  over(query: LaneQuery): void {
    if (query !== this.#oldest) return
    const { next } = query
    this.#oldest = next
    if (!next) this.#newest = undefined
    this.#size--
    this.backlogMs = next ? this.backlogMs - query.expectedMs : 0
    if (isInTransaction(this.connection.client)) this.isBroken = true
    const now = this.#hooks.now()
    this.#hooks.over(query, this.oldestSince, now !== this.#answeredAt)
    this.#answeredAt = now
    this.oldestSince = now
  }

  /** The server is ready for the next query. */
  readonly ready = (): void => {
    const query = this.#unready
    if (!query) return
    this.#unready = undefined
    this.over(query)
    this.moveOn()
  }

  succeeded(query: LaneQuery, result: QueryResult): void {
    this.#hooks.succeeded(query, result)
  }

  failed(query: LaneQuery, error: Error): void {
    this.#hooks.failed(query, error)
  }

  /** The connection is lost: who has no answer yet gets it from pg. */
  lost(): void {
    this.ready()
    this.moveOn()
  }

  /** What every event ends with. */
  moveOn(): void {
    if (this.#isOver) return
    if (this.size > 0) {
      this.#hooks.moved(this)
      return
    }
    if (this.cancelling) return
    this.#isOver = true
    this.isClosing = true
    endPipeline(this.connection.client, this.#mode)
    this.#hooks.ended(this)
  }
}
