/** What one caller of `pool.query` asks for, whichever lane or connection it is tried on; it is answered once. */

import { AsyncResource } from 'node:async_hooks'
import type { Clock, Timer } from '@breakwater/kernel'
import type { Query } from '../connection/dispatch.js'
import { type QueryResult, queryTimeout } from '../driver.js'
import { RunningQuery } from '../queries/query-log.js'
import type { Lane } from './lane.js'
import type { Statement } from './statement.js'

/** The outcome of a query that has not run, or only read: its caller runs it once more, alone. */
export const AGAIN: unique symbol = Symbol('again')

export class Request extends RunningQuery {
  declare readonly query: Query
  readonly statement: Statement
  /** With its comment, if it has one; then its text comes but once, and is not worth a name. */
  readonly sent: unknown
  readonly values: unknown
  readonly signal: AbortSignal | undefined
  /** The caller's context, where somebody listens for the release of its connection. */
  readonly context: AsyncResource | undefined
  readonly #resolve: (result: QueryResult | typeof AGAIN) => void
  readonly #reject: (error: unknown) => void
  #timer: Timer | undefined
  #onAbort: (() => void) | undefined
  /** Its caller has an answer, and takes no other. */
  isSettled = false
  /** Its error, if its time was up. */
  timedOut: Error | undefined = undefined
  /** The lane that it is to run in, or was. */
  lane: Lane | undefined = undefined

  constructor(
    statement: Statement,
    query: Query,
    sent: unknown,
    values: unknown,
    signal: AbortSignal | undefined,
    hasListeners: boolean,
    resolve: (result: QueryResult | typeof AGAIN) => void,
    reject: (error: unknown) => void,
  ) {
    super(query)
    this.statement = statement
    this.sent = sent
    this.values = values
    this.signal = signal
    this.context = hasListeners ? new AsyncResource('breakwater.Query') : undefined
    this.#resolve = resolve
    this.#reject = reject
    if (!signal) return
    this.#onAbort = () => this.reject(signal.reason)
    signal.addEventListener('abort', this.#onAbort)
  }

  /** Starts the time that the query itself may take, as pg does: when it is sent. */
  startTimer(clock: Clock, ms: number): void {
    this.#timer ??= clock.schedule(ms, () => this.#timeOut(), { keepAlive: true })
  }

  #timeOut(): void {
    this.timedOut = Object.assign(queryTimeout(), { mayHaveRun: true })
    this.reject(this.timedOut)
  }

  resolve(result: QueryResult): void {
    if (this.isSettled) return
    this.#settle()
    this.#resolve(result)
  }

  again(): void {
    if (this.isSettled) return
    this.#settle()
    this.#resolve(AGAIN)
  }

  reject(error: unknown): void {
    if (this.isSettled) return
    this.#settle()
    this.#reject(error)
  }

  #settle(): void {
    this.isSettled = true
    this.#timer?.cancel()
    if (this.#onAbort) this.signal?.removeEventListener('abort', this.#onAbort)
  }
}
