/** Knows the statements of late, and how long those of each shape keep a backend busy. */

import type { Clock } from '@breakwater/kernel'
import { isSubmittable, type Query } from '../connection/dispatch.js'
import type { QueryResult } from '../driver.js'
import type { LaneQuery } from './lane-query.js'
import { RoundTrip } from './round-trip.js'
import { Shape } from './shape.js'
import { Statement, shapeOf } from './statement.js'
import { Turn } from './turn.js'
import { TwoGenerations } from './two-generations.js'

/** Texts and shapes of one generation; there are two. */
const MOST_STATEMENTS = 500
/** A longer text goes alone: to know many of them would cost memory, and sending it is what costs most. */
const LONGEST_TEXT = 4_096
/** Quicker than that, a statement costs those behind it less than a connection alone would cost everybody. */
const QUICK_MS = 2
/** What takes longer than that on average, of which a shape cuts off the longest ones, it does not tell the time of. */
const TOLD_MS = 3
/** Where a round trip takes long, so much of it may be added by a statement before others. */
const QUICK_SHARE = 0.5

/** What pg takes beside a text. */
interface Config {
  readonly text?: unknown
  readonly name?: unknown
  readonly values?: unknown
  readonly queryMode?: unknown
  readonly rows?: unknown
  readonly portal?: unknown
}

export class Statements {
  readonly #texts = new TwoGenerations<Statement>(MOST_STATEMENTS)
  readonly #shapes = new TwoGenerations<Shape>(MOST_STATEMENTS)
  readonly #roundTrip = new RoundTrip()
  readonly turn: Turn
  readonly #isShared: () => boolean

  /** @param isShared whether more than one query of lanes is under way. */
  constructor(clock: Clock, isShared: () => boolean) {
    this.turn = new Turn(clock, isShared)
    this.#isShared = isShared
  }

  /** Shapes that are known. */
  get size(): number {
    return this.#shapes.size
  }

  get roundTripMs(): number {
    return this.#roundTrip.ms
  }

  /** Notes how long the server took to answer an empty query. */
  pinged(ms: number): void {
    this.#roundTrip.pinged(ms)
  }

  /** Returns the statement of a query that may share a connection, or undefined: one that is plain, and one statement. */
  read(query: Query, values: unknown): Statement | undefined {
    const config = typeof query === 'string' ? { text: query } : plain(query)
    if (typeof config?.text !== 'string' || config.text.length > LONGEST_TEXT) return undefined
    const list = values ?? config.values ?? undefined
    if (list !== undefined && !Array.isArray(list)) return undefined
    const statement = this.#statement(config.text)
    if (!statement.isShareable) return undefined
    const isExtended = (list?.length ?? 0) > 0 || config.name || config.queryMode === 'extended'
    return statement.mayBeSeveral && !isExtended ? undefined : statement
  }

  #statement(text: string): Statement {
    const known = this.#texts.get(text)
    if (known) return known
    const name = shapeOf(text)
    let shape = this.#shapes.get(name)
    if (!shape) {
      shape = new Shape()
      this.#shapes.set(name, shape)
    }
    const statement = new Statement(text, shape)
    this.#texts.set(text, statement)
    return statement
  }

  /** Whether it is known to keep a backend busy for so short a time that it may share. */
  isQuick({ shape }: Statement): boolean {
    return shape.ms !== undefined && this.mayShare(shape.ms)
  }

  /** Whether what keeps a backend busy for so long may share. */
  mayShare(ms: number): boolean {
    return ms <= Math.max(QUICK_MS, this.roundTripMs * QUICK_SHARE)
  }

  /** Ms that the server is at work on a statement, of late; undefined for one that is known to no shape, or longer than a shape tells. */
  workMs(text: string): number | undefined {
    // As it is sent where it shares.
    const ms = this.read({ text, queryMode: 'extended' }, undefined)?.shape.ms
    return ms !== undefined && ms < TOLD_MS ? ms : undefined
  }

  /** A statement has run on a connection alone. */
  ranAlone({ shape }: Statement, sentAt: number, result: QueryResult): void {
    // Several statements in one text: it can't be sent by the extended protocol.
    if (Array.isArray(result)) return
    const ms = this.turn.now - sentAt
    shape.note(Math.max(0, ms - this.roundTripMs - this.turn.lastMs))
    this.#roundTrip.note(ms)
  }

  /**
   * The server is through with a statement of a lane.
   * @param isFirstOfTurn the others of this turn had been answered before the first was read.
   */
  ranInLane({ request, sentAt, isFirst }: LaneQuery, oldestSince: number, isFirstOfTurn: boolean): void {
    const { now, lastMs } = this.turn
    const ms = isFirstOfTurn ? now - this.workingSince(sentAt, oldestSince) - lastMs : 0
    const { shape } = request.statement
    // Without others that it could hold up it may have waited for this process, and is taken for slower by nobody.
    const most = this.#isShared() ? Number.POSITIVE_INFINITY : (shape.ms ?? Number.POSITIVE_INFINITY)
    shape.note(Math.min(most, Math.max(0, ms)))
    if (isFirst) this.#roundTrip.note(now - sentAt)
  }

  /** From when on the server can have been at work on a query that became the oldest of its lane at `oldestSince`. */
  workingSince(sentAt: number, oldestSince: number): number {
    return Math.max(oldestSince, sentAt + this.roundTripMs)
  }
}

/** Returns a query of an object's form, unless pg would do more with it than send it and collect the rows. */
function plain(query: Query): Config | undefined {
  if (typeof query !== 'object' || query === null || isSubmittable(query)) return undefined
  const config: Config = query
  return config.rows || config.portal ? undefined : config
}
