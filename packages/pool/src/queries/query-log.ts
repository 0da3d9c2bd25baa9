/**
 * What the pool knows of its queries: how long they took, counted in plain fields, and a tracing channel for those who
 * want to hear of each. Both see what a query costs its caller once it has a connection; waiting for one is counted apart.
 */

import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import { type Clock, type Durations, Events, Histogram } from '@breakwater/kernel'

/**
 * The channels are `tracing:breakwater:query:start`, `:end`, `:asyncStart`, `:asyncEnd` and `:error`, one message object for
 * each query. It never holds a value of a parameter.
 */
export interface QueryMessage {
  /** The pool's name. */
  readonly pool: string
  /** As it was given, with its placeholders. */
  readonly text: string
  /** Of a prepared statement. */
  readonly statement: string | undefined
  readonly server: ServerAddress
  /** Set before `error` and `asyncEnd` are told, if it failed. */
  error?: unknown
  /** Set before `asyncEnd` is told, if it is known. */
  rowCount?: number
}

/** Where a connection leads. */
export interface ServerAddress {
  readonly address?: string
  readonly port?: number
  readonly database?: string
}

/** One query that is over. */
export interface QueryDuration {
  readonly type: 'query'
  readonly ms: number
  /** A SQLSTATE, a code of the system's or an error's name; undefined for a query that succeeded. */
  readonly errorType: string | undefined
}

/** Kinds of errors told apart; what comes beyond is counted as `_OTHER`. */
const MAX_ERROR_TYPES = 50
const OTHER = '_OTHER'

const channel: TracingChannel<QueryMessage> = tracingChannel<QueryMessage, QueryMessage>('breakwater:query')

/** A query under way, in the list of them. */
export class RunningQuery {
  readonly query: unknown
  startedMs = 0
  /** What `describeCaller` said when it began. */
  caller: unknown = undefined
  /** Only while somebody listens. */
  message: QueryMessage | undefined = undefined
  /** Itself where it is not in the list. */
  previous: RunningQuery = this
  next: RunningQuery = this

  constructor(query: unknown) {
    this.query = query
  }
}

/** A query under way, as a report tells of it. */
export interface QueryUnderWay {
  /** Its first word and the first table: `SELECT users`. Never its text, in which there may be values. */
  readonly summary: string
  readonly ageMs: number
  readonly caller?: unknown
}

export class QueryLog {
  /** The ring of what is under way: it is followed by the oldest. */
  readonly #ring = new RunningQuery(undefined)
  readonly #describeCaller: (() => unknown) | undefined
  readonly #pool: string
  readonly #clock: Clock
  readonly #succeeded = new Histogram()
  readonly #failed = new Map<string, Histogram>()
  readonly durations: Events<QueryDuration> = new Events()
  /** Told of each query that succeeded, by its text. */
  timed: ((text: string, ms: number) => void) | undefined
  /** Empty until the first connection. */
  server: ServerAddress = {}

  constructor(pool: string, clock: Clock, describeCaller?: () => unknown) {
    this.#pool = pool
    this.#clock = clock
    this.#describeCaller = describeCaller
  }

  /** Lists what is under way, the oldest first. */
  underWay(): QueryUnderWay[] {
    const now = this.#clock.now()
    const queries: QueryUnderWay[] = []
    for (let running = this.#ring.next; running !== this.#ring; running = running.next) {
      const { startedMs, query, caller } = running
      const ageMs = Math.round(now - startedMs)
      queries.push({ summary: summaryOf(describe(query).text), ageMs, ...(caller !== undefined && { caller }) })
    }
    return queries
  }

  get succeeded(): Durations {
    return this.#succeeded.read()
  }

  get failed(): Record<string, Durations> {
    return Object.fromEntries([...this.#failed].map(([type, durations]) => [type, durations.read()]))
  }

  /** Runs `start`, which sends the query and tells of its end by `end`. */
  begin<Q extends RunningQuery, R>(running: Q, start: (running: Q) => R): R {
    running.caller = this.#describeCaller?.()
    running.startedMs = this.#clock.now()
    if (!channel.hasSubscribers) return this.#start(running, start)
    const message: QueryMessage = { pool: this.#pool, ...describe(running.query), server: this.server }
    running.message = message
    // Whoever has bound a store to the channel is to find it in what the query does.
    return channel.start.runStores(message, () => {
      try {
        return this.#start(running, start)
      } finally {
        channel.end.publish(message)
      }
    })
  }

  end(running: RunningQuery, error: unknown, result: unknown): void {
    const { startedMs, query, message } = running
    leave(running)
    const ms = this.#clock.now() - startedMs
    const errorType = error ? errorTypeOf(error) : undefined
    if (this.timed && errorType === undefined) this.timed(describe(query).text, ms)
    if (errorType === undefined) this.#succeeded.record(ms)
    else this.#histogramOf(errorType).record(ms)
    if (this.durations.hasListeners) this.durations.emit({ type: 'query', ms, errorType })
    if (message) tellEnd(message, error, result)
  }

  #start<Q extends RunningQuery, R>(running: Q, start: (running: Q) => R): R {
    const last = this.#ring.previous
    running.previous = last
    running.next = this.#ring
    last.next = running
    this.#ring.previous = running
    try {
      return start(running)
    } catch (error) {
      leave(running)
      throw error
    }
  }

  #histogramOf(errorType: string): Histogram {
    const type = this.#failed.has(errorType) || this.#failed.size < MAX_ERROR_TYPES ? errorType : OTHER
    const histogram = this.#failed.get(type) ?? new Histogram()
    this.#failed.set(type, histogram)
    return histogram
  }
}

/** Does nothing to one that has left. */
function leave(running: RunningQuery): void {
  const { previous, next } = running
  previous.next = next
  next.previous = previous
  running.previous = running
  running.next = running
}

function tellEnd(message: QueryMessage, error: unknown, result: unknown): void {
  if (error) {
    message.error = error
    channel.error.publish(message)
  } else {
    const { rowCount } = (result ?? {}) as { rowCount?: unknown }
    if (typeof rowCount === 'number') message.rowCount = rowCount
  }
  channel.asyncStart.publish(message)
  channel.asyncEnd.publish(message)
}

function describe(query: unknown): Pick<QueryMessage, 'text' | 'statement'> {
  if (typeof query === 'string') return { text: query, statement: undefined }
  const { text, name } = (query ?? {}) as { text?: unknown; name?: unknown }
  return { text: typeof text === 'string' ? text : '', statement: typeof name === 'string' ? name : undefined }
}

const TABLE = /\b(?:from|into|update|join|table)\s+((?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))?)/i
/** Far more than comes before the first table of a query that somebody wrote. */
const LOOKED_AT = 2_000

function summaryOf(text: string): string {
  const start = text.slice(0, LOOKED_AT)
  const word = /^[\s(]*(\w+)/.exec(start)?.[1]?.toUpperCase() ?? ''
  const table = TABLE.exec(start)?.[1]
  return table === undefined ? word : `${word} ${table}`
}

function errorTypeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown }
  if (typeof code === 'string' && code !== '') return code
  return typeof name === 'string' ? name : typeof error
}
