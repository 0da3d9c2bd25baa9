/** How many connections the pool may have at this moment, and what is done with each beside its users to know that. */

import { type Clock, Deadline } from '@breakwater/kernel'
import type { Connection } from '../connection/connection.js'
import { settle } from '../connection/restore.js'
import { onDiscard, processIdOf, type QueryResult } from '../driver.js'
import { resolveSize, type Size } from '../engine/options.js'
import type { ResourcePool } from '../engine/resource-pool.js'
import type { RetireReason } from '../engine/slot.js'
import { Fleet } from '../fleet/fleet.js'
import type { ResolvedFleet } from '../fleet/options.js'
import { pause } from '../fleet/pause.js'
import { type FleetEvent, type FleetStats, isRefusal, isServerFull } from '../fleet/telling.js'
import type { LaneStats } from '../lanes/lanes.js'
import { queryForUpkeep } from '../queries/client-query.js'
import { AutoSize } from './auto-size.js'
import { ExecutionTimes } from './execution-times.js'
import { Limits } from './limits.js'
import { Load } from './load.js'
import type { SizingOptions } from './options.js'
import { type SizeDerivation, sizePool } from './size-pool.js'

export interface CapacityOptions {
  readonly name: string
  readonly clock: Clock
  readonly max: number
  readonly min: number
  /** Longest time for one connection to be made. */
  readonly createTimeoutMs: number
  /** Undefined for a pool that is alone. */
  readonly fleet: ResolvedFleet | undefined
  /** Undefined for one whose size is the application's. */
  readonly sizing: SizingOptions | undefined
}

/** A pool's size, and why it is so large. */
export interface SizingStats extends SizeDerivation {
  /** Uses a second, and ms that one takes: as given, or as measured. */
  readonly qps: number
  readonly holdMs: number
  /** How many times their least the statements take; 1 where it is not known. */
  readonly slowdown: number
}

export type SizedEvent = { readonly type: 'sized'; readonly pool: string } & SizingStats

export interface CapacityHooks {
  readonly connections: ResourcePool<Connection>
  /** How queries share connections; undefined where they do not. */
  lanes(): Pick<LaneStats, 'open' | 'shared'> | undefined
  /** Ms that the server is at work on a statement, where queries share connections and it is short enough for that to be known. */
  workMs(text: string): number | undefined
  /** Whether statements share a connection at which the server is at work for so long. */
  mayShare(ms: number): boolean
  /** Closes a connection that never came to anybody. */
  discard(connection: Connection): Promise<void>
  emit(event: FleetEvent | SizedEvent): void
}

/** A server that is there answers what the fleet asks it in a few ms. */
const ASK_MS = 2_000
/** So that callers hear why they wait, and not only that they do. */
const HEARD_MS = 100
/** Callers that may find all in use where the size is found out. */
const AUTO_WAIT_RATIO = 0.05
/** A lane that has found no room for another one beside it is short of it for so long. */
const SHORT_MS = 100
const RETRY_MS = { shortest: 20, longest: 1_000 }

export class Capacity {
  readonly #options: CapacityOptions
  readonly #hooks: CapacityHooks
  readonly #limits: Limits
  /** Undefined when nobody asks for it, so that it costs nothing; the others too. */
  readonly #load: Load | undefined
  readonly #auto: AutoSize | undefined
  readonly #times: ExecutionTimes | undefined
  /** Of the statements that are quick enough to share a connection, on average what the server was at work on one. */
  readonly #quick = { count: 0, ms: 0 }
  /** Queries that were sent in lanes, and what the servers were at work on them, as far as it was added up. */
  readonly #inLanes = { queries: 0, ms: 0 }
  readonly #fleet: Fleet<Connection> | undefined
  #sizing: SizingStats | undefined
  #seenMax: unknown

  constructor(options: CapacityOptions, hooks: CapacityHooks) {
    const { name, clock, max, min, fleet } = options
    this.#options = options
    this.#hooks = hooks
    this.#limits = new Limits({ max, min }, size => hooks.connections.resize(size))
    this.#seenMax = max
    const { sizing } = options
    if (fleet || sizing === 'auto') {
      this.#load = new Load(
        clock,
        () => this.#use,
        () => this.#sample(),
      )
    }
    if (sizing === 'auto') {
      this.#auto = new AutoSize(AUTO_WAIT_RATIO, { min, max })
      this.#times = new ExecutionTimes()
      this.#setSize(this.#auto.derivation)
    } else if (sizing) {
      const { targetQps: qps, holdMs } = sizing
      this.#setSize({ ...sizePool(sizing, { min, max }), qps, holdMs, slowdown: 1 })
    }
    if (!fleet) return
    this.#fleet = new Fleet(fleet, {
      name,
      clock,
      random: Math.random,
      demand: () => Math.min(this.#limits.desired, Math.max(this.#limits.min, this.#load?.peak ?? 0)),
      grant: granted => this.#limits.allow({ granted }),
      ask: (connection, text) => ask(connection, text, clock),
      isUsable: connection => connection.isUsable,
      processIdOf: ({ client }) => processIdOf(client),
      borrow: connection => hooks.connections.borrow(connection),
      emit: event => hooks.emit(event),
    })
  }

  get fleet(): FleetStats | undefined {
    return this.#fleet?.stats()
  }

  get sizing(): SizingStats | undefined {
    return this.#sizing
  }

  /** Notes how long a query took, without its wait for a connection. Undefined if nobody wants to know. */
  get timed(): ((text: string, ms: number) => void) | undefined {
    const times = this.#times
    return times && ((text, ms) => this.#time(times, text, ms))
  }

  #time(times: ExecutionTimes, text: string, ms: number): void {
    const workMs = this.#hooks.workMs(text)
    // Where queries share a connection, most of a query's time is that of those before it. One that shares now and then is
    // measured alike, or each change would look like another server.
    times.record(text, workMs ?? ms)
    if (workMs === undefined || !this.#hooks.mayShare(workMs)) return
    this.#quick.count++
    this.#quick.ms += workMs
  }

  /**
   * Changes the application's own limits.
   * @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`.
   */
  resize(size: Size): void {
    const { configured, min: present } = this.#limits
    const { max, min } = resolveSize(size, { max: configured, min: present })
    this.#limits.allow({ configured: max }, min)
  }

  /** A caller comes. */
  watch(): void {
    this.#load?.watch()
  }

  /** A caller has to wait. @param max `pool.options.max`, which applications set while the pool runs, as pg allows. */
  waits(max: unknown): void {
    if (max !== this.#seenMax) this.#follow(max)
    this.#load?.watch()
    this.#press()
  }

  /** Opens a connection, and resolves with it when it has its place in the fleet. */
  async open(connect: () => Promise<Connection>, signal: AbortSignal): Promise<Connection> {
    const fleet = this.#fleet
    if (!fleet) return connect()
    const { clock, createTimeoutMs } = this.#options
    const deadline = new Deadline(clock, createTimeoutMs - HEARD_MS)
    for (let delayMs = RETRY_MS.shortest; ; delayMs = Math.min(RETRY_MS.longest, delayMs * 2)) {
      try {
        return await this.#openIn(fleet, connect, signal, deadline)
      } catch (error) {
        if (isServerFull(error)) fleet.refused()
        // The pool's first connection: its callers have nothing else to wait for.
        if (!isRefusal(error) || fleet.isSeated || deadline.remainingMs <= delayMs) throw error
        await pause(clock, delayMs * (0.5 + Math.random() / 2), signal)
      }
    }
  }

  /** A connection is being closed; to be called in the tick in which the pool stops counting it. */
  left(connection: Connection): void {
    this.#fleet?.leave(connection)
  }

  /** Whether a connection that is given back is needed before its next user gets it. */
  isNeeded(connection: Connection): boolean {
    return this.#fleet?.isNeeded(connection) === true
  }

  /** Does what it is needed for. Resolves with why it has to go, if it has to. */
  async attend(connection: Connection): Promise<RetireReason | undefined> {
    return this.#fleet?.attend(connection)
  }

  stop(): void {
    this.#fleet?.stop()
    this.#load?.stop()
  }

  /** Connections that there is use for: one serves many who would share it. */
  get #use(): number {
    const { connections } = this.#hooks
    return connections.state().leased + connections.waiting.demand + (this.#isShort ? 1 : 0) - this.#attending
  }

  get #isShort(): boolean {
    return this.#options.clock.coarse() - this.#hooks.connections.shortAt < SHORT_MS
  }

  get #attending(): number {
    return this.#fleet?.attending ?? 0
  }

  #follow(max: unknown): void {
    this.#seenMax = max
    if (typeof max === 'number' && max >= 1) this.resize({ max: Math.max(Math.ceil(max), this.#limits.min) })
  }

  #sample(): void {
    this.#press()
    const auto = this.#auto
    if (!auto) return
    const { connections, lanes } = this.#hooks
    const { open: shared, shared: queries } = lanes() ?? { open: 0, shared: 0 }
    const alone = Math.max(0, connections.state().leased - shared - this.#attending)
    const at = this.#options.clock.now()
    const glance = { at, alone, shared, pending: connections.waiting.demand }
    if (!auto.see(glance)) return
    const { count: uses, sumMs: usedMs } = connections.stats().use
    const done = { uses, usedMs, sharedMs: this.#sharedMs(queries) }
    const { min, configured: max } = this.#limits
    this.#setSize(auto.step(glance, done, this.#times?.slowdown(at), { min, max }))
  }

  /** @param queries that were sent in lanes, since the pool was made. */
  #sharedMs(queries: number): number {
    const { count, ms } = this.#quick
    if (count > 0) this.#inLanes.ms += ((queries - this.#inLanes.queries) * ms) / count
    this.#inLanes.queries = queries
    this.#quick.count = 0
    this.#quick.ms = 0
    return this.#inLanes.ms
  }

  #setSize(sizing: SizingStats): void {
    const isNew = sizing.size !== this.#sizing?.size
    this.#sizing = sizing
    if (!isNew) return
    this.#limits.allow({ sized: sizing.size })
    // In a turn of its own: the first one is set before anybody can listen.
    const told = (): void => this.#hooks.emit({ type: 'sized', pool: this.#options.name, ...sizing })
    process.nextTick(told)
  }

  #press(): void {
    if (this.#isShort || this.#hooks.connections.state().pending > 0) this.#fleet?.press()
  }

  async #openIn(
    fleet: Fleet<Connection>,
    connect: () => Promise<Connection>,
    signal: AbortSignal,
    deadline: Deadline,
  ): Promise<Connection> {
    const connection = await connect().catch(error => {
      fleet.closeDoor()
      throw error
    })
    const abandon = (): void => connection.abandon()
    signal.addEventListener('abort', abandon)
    try {
      signal.throwIfAborted()
      await fleet.join(connection, signal, deadline)
      onDiscard(connection.client, () => fleet.dropped(connection))
      return connection
    } catch (error) {
      fleet.leave(connection)
      await this.#hooks.discard(connection)
      throw error
    } finally {
      signal.removeEventListener('abort', abandon)
    }
  }
}

/** Runs a statement of our own. A connection on which it does not end in time is closed. */
async function ask(
  connection: Connection,
  text: string,
  clock: Clock,
): Promise<readonly Readonly<Record<string, string | null>>[]> {
  const deadline = new Deadline(clock, ASK_MS)
  const late = (): Error => new Error(`the server did not answer within ${ASK_MS} ms`)
  const answer = new Promise<QueryResult>((resolve, reject) => {
    queryForUpkeep(connection.client, text, (error, result) => (error ? reject(error) : resolve(result as QueryResult)))
  })
  try {
    const { rows } = await deadline.race(answer, late)
    return rows
  } catch (error) {
    // The server says that it is ready again only after it has said what was wrong.
    if (!(await settle(connection.client, deadline.remainingMs, clock))) connection.abandon()
    throw error
  }
}
