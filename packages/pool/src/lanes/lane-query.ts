/** One query on its way through a lane: pg's own, in the extended protocol, answered once. */

import { type FieldDef, type QueryResult, type WireConnection, WireQueryBase } from '../driver.js'
import type { Lane } from './lane.js'
import type { Prepared } from './names.js'
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
  /** Of its result, if the server is not asked for them. */
  columns: readonly FieldDef[] | undefined = undefined
  /** Set if it has a name. */
  prepared: Prepared | undefined = undefined
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
    const { lane } = this
    if (this.name) this.prepared = lane.names.useGiven(this.name)
    else lane.name(this, connection)
    this.columns = this.#knownColumns(connection)
    const refused = super.submit(this.columns ? lane.undescribed : connection)
    if (refused) return refused
    this.lane.sent(this)
    // Its values could not be written: pg has had the server forget the statement, but goes on as if it knew it.
    if (this.isAnswered && this.name) {
      this.lane.names.forget(this.name, connection)
      this.name = undefined
    }
    return null
  }

  /** Returns them if the server need not be asked. */
  #knownColumns({ parsedStatements }: WireConnection): readonly FieldDef[] | undefined {
    const columns = this.binary || !this.lane.connection.isDirect ? undefined : this.prepared?.columns
    return columns && parsedStatements[this.name as string] !== undefined ? columns : undefined
  }

  /** Does what can be done for its result while the server is at work on it. */
  expect(): void {
    // A copy: it becomes the caller's.
    if (this.columns) this.handleRowDescription({ fields: [...this.columns] })
  }

  noteColumns({ fields }: QueryResult): void {
    if (this.prepared && !this.columns && !this.binary) this.prepared.columns = [...fields]
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
  if (error) {
    this.lane.failed(this, error)
    return
  }
  this.noteColumns(result as QueryResult)
  this.lane.succeeded(this, result as QueryResult)
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
