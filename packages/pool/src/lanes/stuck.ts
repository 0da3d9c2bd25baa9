/**
 * Finds lanes whose oldest query takes unexpectedly long, and gets it out of the way of those behind it: the server is
 * asked to cancel it, and what it was is run again on a connection of its own.
 */

/*
 * Why it has to be done at all. Those behind it can't be taken back, and may include one for whose answer the first one
 * waits without knowing: an UPDATE that waits for a row which a transaction has locked, and behind it the query that the
 * holder of that transaction wants to have answered before it commits. With a connection for each of them there is no
 * deadlock, so there must be none here; and Postgres sees none, since half of it is in this process.
 *
 * Why it may be done. A statement that was cancelled (57014) has not been committed, and outside of a transaction that
 * means that it has not happened. The request may hit the next query of the lane, if the first has just ended: so each
 * query of the lane that was cancelled is run again.
 */

import type { Clock, Timer } from '@breakwater/kernel'
import { type CancelRequest, requestCancel } from '../driver.js'
import type { Lane } from './lane.js'
import type { LaneQuery } from './lane-query.js'

/** Well above what a shape that shares has ever taken of late, and what a busy process takes to look at an answer. */
const STUCK_MS = 25
/** A cancel request that has no answer by then is given up, and the connection with it. */
const CANCEL_MS = 1_000

export interface StuckHooks {
  readonly clock: Clock
  readonly lanes: Iterable<Lane>
  /**
   * For how long the server has had nothing but the lane's oldest query to do, as far as is known. What this process has
   * taken meanwhile to read the answers of others does not count: one turn with a thousand of them is longer than a query
   * that is stuck.
   */
  workingMs(query: LaneQuery, oldestSince: number): number
  /** See `requestCancel`. */
  stream(): unknown
  /** A query is stuck; called once for each. */
  onStuck(query: LaneQuery): void
  /** No cancel request is under way any more for the lane. */
  onQuiet(lane: Lane): void
}

export class StuckWatch {
  readonly #hooks: StuckHooks
  readonly #known = new WeakSet<LaneQuery>()
  readonly #sweep = (): void => {
    this.#timer = undefined
    // What has come meanwhile is read first: the process may have been at other work.
    setImmediate(this.#look)
  }
  #timer: Timer | undefined

  constructor(hooks: StuckHooks) {
    this.#hooks = hooks
  }

  /** To be called when a lane opens. It stops by itself when none is open. */
  arm(): void {
    this.#timer ??= this.#hooks.clock.schedule(STUCK_MS, this.#sweep)
  }

  readonly #look = (): void => {
    for (const lane of this.#hooks.lanes) {
      this.arm()
      const { oldest } = lane
      if (!oldest || !lane.connection.isUsable) continue
      const ms = this.#hooks.workingMs(oldest, lane.oldestSince)
      if (ms < STUCK_MS) continue
      if (!this.#known.has(oldest)) {
        this.#known.add(oldest)
        this.#hooks.onStuck(oldest)
      }
      // The first request for a query may have overtaken it; each next one is sent when twice as long has passed.
      const isDue = ms >= STUCK_MS * 2 ** lane.cancels
      if (isDue && !lane.cancelling && this.#isInTheWay(oldest)) this.#cancel(lane)
    }
  }

  /** Whether somebody waits behind it, or nobody waits for it. */
  #isInTheWay(query: LaneQuery): boolean {
    if (query.request.isSettled) return true
    for (let behind = query.next; behind; behind = behind.next) if (!behind.request.isSettled) return true
    return false
  }

  #cancel(lane: Lane): void {
    const request = requestCancel(lane.connection.client, this.#hooks.stream())
    if (!request) return
    lane.isClosing = true
    lane.cancels++
    lane.cancelling = request
    void this.#finish(lane, request)
  }

  /** The connection is kept apart until the request is over: it would hit whoever comes next. */
  async #finish(lane: Lane, request: CancelRequest): Promise<void> {
    const timer = this.#hooks.clock.schedule(CANCEL_MS, () => {
      lane.isBroken = true
      request.destroy()
    })
    await request.closed
    timer.cancel()
    lane.cancelling = undefined
    this.#hooks.onQuiet(lane)
  }
}
