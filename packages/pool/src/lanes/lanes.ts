/** Puts queries that are quick together on few connections, and all others on connections of their own. */

/*
 *   pool.query --- may share? --- known to be quick? ---- yes: a lane
 *                      | no              | no: unknown, or slow
 *                      +-----------------+--------------> a connection alone, and its time is noted
 *
 * A lane is a connection in pg's pipeline mode: queries are written behind each other without waiting for answers, those of
 * one turn of the event loop in one system call, so that a round trip carries many of them and a query costs the process a
 * quarter of the usual. A backend works on one query at a time; so whatever takes long holds up those behind it. Six rules
 * keep that from being felt, and the pool's other users from being starved:
 *
 * 1. Quick alone shares. What a statement takes is measured by its shape (`shape.ts`), without the round trip and without
 *    what this process takes to read the answer. Unknown shapes and slow ones go alone, which is where they are measured.
 * 2. A lane whose oldest query is late takes no more, and if others wait behind that one it is cancelled and run again
 *    alone (`stuck.ts`).
 * 3. The first lane takes all, until its backend has so much to do that it is the limit; then a second one is opened, and
 *    so on. Each connection costs both sides a system call a turn, so there are no more than are of use; and as the first
 *    one with room is always taken, those that are not needed run empty.
 * 4. A lane that is empty ends in the same tick, and its connection is idle again: what one sees of the pool from outside
 *    (counts, events, limits) is as if each query had had a connection of its own.
 * 5. Callers who wait for a connection of their own get one: all lanes but one then end, and that one after its turn. What
 *    is freed next goes to a lane again, since it serves many (`engine.ts`).
 * 6. A connection that is due (lifetime, uses, a smaller pool) takes no more, and goes when it is empty.
 */

import { AsyncResource } from 'node:async_hooks'
import type { Clock } from '@breakwater/kernel'
import type { Connection } from '../connection/connection.js'
import type { Query } from '../connection/dispatch.js'
import { countUse, type PoolBase, type QueryResult } from '../driver.js'
import type { Lease } from '../engine/lease.js'
import type { ResourcePool } from '../engine/resource-pool.js'
import type { RetireReason } from '../engine/slot.js'
import type { AcquireOptions } from '../engine/waits.js'
import { copyOf, laneTainted, traced } from '../pool-errors.js'
import { type QueryTags, withComment } from '../queries/comment.js'
import type { QueryLog } from '../queries/query-log.js'
import { judge, wasNotRead } from './failure.js'
import { Lane, type LaneHooks, MOST_QUERIES } from './lane.js'
import type { LaneQuery } from './lane-query.js'
import { Names } from './names.js'
import { AGAIN, Request } from './request.js'
import type { Statement } from './statement.js'
import { Statements } from './statements.js'
import { StuckWatch } from './stuck.js'

/** A lane with more to do than this for its backend has another one opened beside it. */
const BACKLOG_MS = 3
/** How much later than usual the oldest query of a lane may be before the lane takes no more. */
const LATE_MS = 5
/** How long a lane goes on taking queries while others wait for a connection of their own. */
const TURN_MS = 10
const SHARED = { shared: true }

interface Parked {
  readonly request: Request
  /** Finds a place for it, in its caller's context. */
  readonly place: () => void
}

/** What lanes stand on: the pool's connections, and its way with them. */
export interface Ground {
  readonly pool: PoolBase
  readonly clock: Clock
  readonly connections: ResourcePool<Connection>
  readonly log: QueryLog
  readonly maxUses: number
  isFresh(connection: Connection): boolean
  look(connection: Connection): Promise<boolean>
  /** Waits for a connection. */
  acquire(options: AcquireOptions): Promise<Lease<Connection>>
  /** Tells of a caller who has waited for a connection in vain, and returns his error. */
  refused(error: unknown): unknown
  /** Has the application look at a connection that it has not had yet. */
  admit(lease: Lease<Connection>): Promise<void>
  occupy(lease: Lease<Connection>): void
  /** @param reason why the connection must not be used again, if so. */
  vacate(lease: Lease<Connection>, reason: RetireReason | undefined): void
  /** Runs a query on a connection of its own. */
  alone(query: Query, values: unknown, signal: AbortSignal | undefined): Promise<QueryResult>
  /** Takes one second try from the budget, if there is one left. */
  mayRetry(): boolean
  /** Whose a query is; called in its caller's context. */
  readonly queryTags: (() => QueryTags | undefined) | undefined
  stream(): unknown
  /** pg's option, for queries that do not say themselves. */
  queryTimeoutMs(): number
  onNamesOff(code: string): void
}

/** How queries have shared connections. */
export interface LaneStats {
  /** Lanes at this instant. */
  readonly open: number
  /** Queries under way in them. */
  readonly running: number
  /** Queries that were sent in lanes, and that could have been but were sent alone: unknown then, or slow. */
  readonly shared: number
  readonly alone: number
  /** Queries under way in the lane that was given another one: the mean of late. */
  readonly depth: number
  /** Queries that kept others waiting, and were run again alone. */
  readonly moved: number
  /** Shapes of statements whose time is known. */
  readonly shapes: number
  /** Whether statements are prepared under names of the pool's own. */
  readonly names: boolean
}

export class Lanes implements LaneHooks {
  readonly #ground: Ground
  /** Those that are open, in the order in which they were opened. */
  readonly #lanes: Lane[] = []
  /** Reads a query as one that may share; whether it does now is told by `shares`. */
  readonly statements: Statements
  readonly #names: Names
  readonly #stuck: StuckWatch
  /** Queries for which an idle connection is being looked at; undefined while none is. */
  #parked: Parked[] | undefined
  /** Queries under way. */
  #running = 0
  #shared = 0
  #alone = 0
  #depth = 0
  #moved = 0

  constructor(ground: Ground) {
    this.#ground = ground
    this.statements = new Statements(ground.clock, () => this.#running > 1)
    this.#names = new Names(code => ground.onNamesOff(code))
    this.#stuck = new StuckWatch({
      clock: ground.clock,
      lanes: this.#lanes,
      workingMs: (query, oldestSince) => this.#workingMs(query, oldestSince),
      stream: () => ground.stream(),
      onStuck: ({ request }) => request.statement.shape.noteStuck(),
      onQuiet: lane => lane.moveOn(),
    })
  }

  stats(): LaneStats {
    return {
      open: this.#lanes.length,
      running: this.#running,
      shared: this.#shared,
      alone: this.#alone,
      depth: this.#depth,
      moved: this.#moved,
      shapes: this.statements.size,
      names: this.#names.isOn,
    }
  }

  /** Tells whether a query that may share does so now. */
  shares(statement: Statement): boolean {
    if (this.statements.isQuick(statement)) return true
    this.#alone++
    return false
  }

  /** Runs a query in a lane. */
  async run(
    statement: Statement,
    query: Query,
    values: unknown,
    signal: AbortSignal | undefined,
  ): Promise<QueryResult> {
    try {
      const outcome = await new Promise<QueryResult | typeof AGAIN>((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const hasListeners = this.#ground.pool.listenerCount('release') > 0
        const { queryTags } = this.#ground
        const sent = queryTags ? withComment(query, queryTags()) : query
        this.#place(new Request(statement, query, sent, values, signal, hasListeners, resolve, reject))
      })
      // From here, where its caller's context is.
      return outcome === AGAIN ? await this.#ground.alone(query, values, signal) : outcome
    } catch (error) {
      throw traced(error)
    }
  }

  // Where to

  #place(request: Request): void {
    const lane = this.#laneFor()
    if (lane) this.#ask(lane, request)
    else if (this.#parked) this.#parked.push({ request, place: AsyncResource.bind(() => this.#place(request)) })
    else void this.#wait(request)
  }

  /** Returns a lane that takes a query now. If none has time, one is opened: at once, or when its connection is there. */
  #laneFor(): Lane | undefined {
    const { connections, isFresh } = this.#ground
    const lane = this.#choose()
    if (this.#parked || (lane && lane.backlogMs < BACKLOG_MS)) return lane
    const idle = connections.tryAcquire(SHARED)
    if (!idle) {
      if (lane) connections.openAnother()
      return lane
    }
    if (isFresh(idle.value) && !idle.value.isNew) return this.#open(idle)
    this.#parked = []
    void this.#look(idle)
    return lane
  }

  /** The first lane whose backend has time, or else the one with the most. */
  #choose(): Lane | undefined {
    let best: Lane | undefined
    for (const lane of this.#lanes) {
      if (!this.#takes(lane)) continue
      if (lane.backlogMs < BACKLOG_MS) return lane
      if (!best || lane.backlogMs < best.backlogMs) best = lane
    }
    return best
  }

  #takes(lane: Lane): boolean {
    if (!lane.isOpen || lane.size >= MOST_QUERIES) return false
    const { oldest } = lane
    if (oldest && this.#workingMs(oldest, lane.oldestSince) > LATE_MS) return false
    const { connections, maxUses } = this.#ground
    const isOver = this.#lanes.length > 1 || this.now() - lane.openedAt >= TURN_MS
    lane.isClosing = (isOver && connections.waiting.alone > 0) || lane.uses >= maxUses || lane.lease.isDue
    return !lane.isClosing
  }

  /** For how long the server has been at work on the oldest query of a lane, as far as this process can tell by now. */
  #workingMs({ sentAt }: LaneQuery, oldestSince: number): number {
    const { now, lastMs } = this.statements.turn
    return now - this.statements.workingSince(sentAt, oldestSince) - lastMs
  }

  #open(lease: Lease<Connection>): Lane {
    this.#ground.occupy(lease)
    const { value: connection } = lease
    connection.lane ??= new Lane(connection, this)
    const { lane } = connection
    lane.open(lease)
    this.#lanes.push(lane)
    this.#stuck.arm()
    return lane
  }

  #ask(lane: Lane, request: Request): void {
    if (request.isSettled) {
      lane.moveOn()
      return
    }
    const { pool, clock, log } = this.#ground
    this.#shared++
    this.#depth += (lane.size - this.#depth) / 32
    try {
      pool.emit('acquire', lane.connection.client)
      request.lane = lane
      log.begin(request, ask)
      this.#running++
    } catch (error) {
      request.reject(error)
      lane.moveOn()
      return
    }
    const ms = timeoutOf(request.query) ?? this.#ground.queryTimeoutMs()
    if (ms > 0) request.startTimer(clock, ms)
  }

  /** Opens a lane on a connection that was idle, if it is still there, for those who are parked meanwhile. */
  async #look(idle: Lease<Connection>): Promise<void> {
    let lane: Lane | undefined
    try {
      lane = await this.#opened(idle)
    } catch (error) {
      this.#parked?.shift()?.request.reject(error)
    }
    const parked = this.#parked ?? []
    this.#parked = undefined
    for (const { place } of parked) place()
    lane?.moveOn()
  }

  /** Waits for the next connection that is free, or that others share. */
  async #wait(request: Request): Promise<void> {
    try {
      for (;;) {
        const lease = await this.#ground.acquire({ signal: request.signal, ...SHARED })
        const { lane: joined } = lease.value
        if (joined?.lease === lease) return this.#join(joined, request)
        const lane = await this.#opened(lease)
        if (lane) {
          this.#ask(lane, request)
          return this.#fill(lane)
        }
      }
    } catch (error) {
      request.reject(this.#ground.refused(error))
    }
  }

  /** Resolves with a lane on a new lease, or with undefined if its connection turns out to be lost. */
  async #opened(lease: Lease<Connection>): Promise<Lane | undefined> {
    if (await this.#ground.look(lease.value)) {
      await this.#ground.admit(lease)
      return this.#open(lease)
    }
    lease.retire()
    return undefined
  }

  #join(lane: Lane, request: Request): void {
    lane.reserved--
    if (lane.connection.isUsable) this.#ask(lane, request)
    else this.#place(request)
    lane.moveOn()
  }

  /** Has those join who wait, as far as there is room. */
  #fill(lane: Lane): void {
    const { connections } = this.#ground
    while (connections.waiting.sharers > 0 && this.#takes(lane)) {
      lane.reserved++
      connections.join(lane.lease)
    }
  }

  // What came of it; called by lanes

  now(): number {
    return this.statements.turn.now
  }

  hasNames(): boolean {
    return this.#names.isOn
  }

  over(query: LaneQuery, oldestSince: number, isFirstOfTurn: boolean): void {
    if (query.lane.connection.isUsable) this.statements.ranInLane(query, oldestSince, isFirstOfTurn)
  }

  succeeded(query: LaneQuery, result: QueryResult): void {
    const { lane, request } = query
    this.#released(query, undefined, result)
    if (!lane.isBroken || !lane.connection.isUsable) {
      request.resolve(result)
      return
    }
    // Someone has begun a transaction on a connection that was not his any more, and nobody knows what becomes of it.
    request.reject(laneTainted(this.#ground.connections.name))
    lane.connection.abandon()
  }

  failed(query: LaneQuery, error: Error): void {
    const { request, lane } = query
    const verdict = judge(query, error, this.#names)
    this.#released(query, error, undefined)
    if (request.isSettled) return
    const isAgain = verdict !== 'tell' && !this.#ground.pool.ending
    if (isAgain && (verdict === 'again' || this.#ground.mayRetry())) {
      this.#moved++
      request.again()
    } else if (lane.connection.isUsable) request.reject(error)
    // pg has one error for all queries of a connection; each caller gets his own, which says what became of his.
    else request.reject(Object.assign(copyOf(error), { mayHaveRun: !wasNotRead(query, error) }))
  }

  /** Does what the release of a connection of its own would have done. */
  #released({ lane, request }: LaneQuery, error: Error | undefined, result: QueryResult | undefined): void {
    const { client } = lane.connection
    this.#running--
    this.#ground.log.end(request, request.timedOut ?? error, result)
    countUse(client)
    if (!request.context) return
    try {
      request.context.runInAsyncScope(() => this.#ground.pool.emit('release', undefined as never, client))
    } catch (error) {
      request.reject(error)
    }
  }

  moved(lane: Lane): void {
    if (this.#ground.connections.waiting.sharers > 0) this.#fill(lane)
  }

  ended(lane: Lane): void {
    this.#lanes.splice(this.#lanes.indexOf(lane), 1)
    const isUsedUp = lane.uses >= this.#ground.maxUses
    this.#ground.vacate(lane.lease, lane.isBroken ? 'unhealthy' : isUsedUp ? 'lifetime' : undefined)
  }
}

function ask(request: Request): void {
  ;(request.lane as Lane).ask(request)
}

function timeoutOf(query: Query): number | undefined {
  const ms = Number((query as { query_timeout?: unknown } | null)?.query_timeout)
  return ms > 0 ? ms : undefined
}
