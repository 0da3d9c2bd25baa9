/** One query on its way through a lane: pg's own, in the extended protocol, answered once. */

import { type QueryResult, type WireConnection, WireQueryBase } from '../driver.js'
import type { Lane } from './lane.js'
import type { Request } from './request.js'

export class LaneQuery extends WireQueryBase {
  readonly request: Request
  readonly lane: Lane
  /** When it was written. */
  readonly sentAt: number
  /** Which of its lane's writes it goes out with. */
  readonly write: number
  /** What it was expected to keep the server busy for. */
  expectedMs = 0
  /** Whether nothing else was under way when it was written. */
  isFirst = false
  /** It has its result or its error. */
  isAnswered = false
  /** The name that the pool has given its statement. */
  ownName: string | undefined
  next: LaneQuery | undefined

  constructor(request: Request, lane: Lane, sentAt: number, write: number) {
    const { sent, values } = request
    const config = simple(sent)
    super(config?.text ?? (sent as object), values)
    if (config) {
      this.name = config.name
      this.values ??= config.values
      this.binary = config.binary
      this.queryMode = config.queryMode
    }
    this.request = request
    this.lane = lane
    this.sentAt = sentAt
    this.write = write
    // What the simple protocol answers is text, whatever the client would like.
    if (!this.requiresPreparation()) this.binary = false
    this.queryMode = 'extended'
    this.callback = settle
  }

  override submit(connection: WireConnection): Error | null {
    if (!this.name) this.name = this.ownName = this.lane.nameOf(this.request, connection)
    const refused = super.submit(connection)
    if (refused) return refused
    this.lane.sent(this)
    // Its values could not be written: pg has had the server forget the statement, but goes on as if it knew it.
    if (this.isAnswered && this.name) {
      this.lane.names.forget(this.name, connection)
      this.name = undefined
    }
    return null
  }

  override handleError(error: Error, connection: WireConnection): void {
    this.lane.errorCame(this)
    super.handleError(error, connection)
    this.lane.moveOn()
  }

  override handleReadyForQuery(connection: WireConnection): void {
    this.lane.over(this)
    super.handleReadyForQuery(connection)
    this.lane.moveOn()
  }
}

/** Called by pg on the query. */
function settle(this: LaneQuery, error: Error | null, result?: QueryResult): void {
  if (this.isAnswered) return
  this.isAnswered = true
  if (error) this.lane.failed(this, error)
  else this.lane.succeeded(this, result as QueryResult)
}

/** What can be in the config of a query that shares. */
interface SimpleConfig {
  readonly text: string
  readonly name?: string
  readonly values?: unknown
  readonly binary?: boolean
  readonly queryMode?: string
  readonly rowMode?: unknown
  readonly types?: unknown
}

/**
 * Returns the config of a query that needs no more than to have a few fields read. To have pg copy the whole of it costs
 * more than all else that pg does for a query.
 */
function simple(query: unknown): SimpleConfig | undefined {
  if (typeof query === 'string') return { text: query }
  const config = query as SimpleConfig
  return config.rowMode || config.types ? undefined : config
}
