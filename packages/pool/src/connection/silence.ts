/**
 * Finds connections whose other end is gone without a word (half-open TCP) while a query waits for its answer, and lets
 * those be on which the server is just working for long.
 */

import type { Clock, Timer } from '@breakwater/kernel'
import { isReady, trafficOf } from '../driver.js'
import type { Connection } from './connection.js'

/**
 * Silence proves nothing: a report may run for minutes. So the server is asked, over another connection, which of the
 * silent ones' backends are at work. One that is not, or is no more, has nothing to answer, and its query would wait for
 * as long as TCP takes to give up: up to a quarter of an hour if something was sent, for ever if not.
 */
export interface SilenceOptions {
  readonly clock: Clock
  /** Silence after which the server is asked. */
  readonly deadAfterMs: number
  readonly connections: Iterable<Connection>
  /** Resolves with those whose backend is known not to be at work; rejects when that can't be known. */
  readonly findDead: (silent: readonly Connection[]) => Promise<readonly Connection[]>
  readonly onDead: (connection: Connection, silentMs: number) => void
}

interface Mark {
  readonly traffic: number
  readonly since: number
}

export class SilenceWatch {
  readonly #options: SilenceOptions
  readonly #marks = new WeakMap<Connection, Mark>()
  readonly #sweep = (): void => this.#look()
  #timer: Timer | undefined
  #isAsking = false

  constructor(options: SilenceOptions) {
    this.#options = options
  }

  /** To be called when a connection gets a user; mostly costs one comparison. It stops by itself when none has. */
  arm(): void {
    const { clock, deadAfterMs } = this.#options
    if (this.#timer || deadAfterMs === Number.POSITIVE_INFINITY) return
    this.#timer = clock.schedule(deadAfterMs / 2, this.#sweep)
  }

  #look(): void {
    this.#timer = undefined
    const silent: Connection[] = []
    for (const connection of this.#options.connections) {
      if (!connection.lease) continue
      this.arm()
      if (this.#silentMs(connection) >= this.#options.deadAfterMs) silent.push(connection)
    }
    if (silent.length > 0 && !this.#isAsking) void this.#ask(silent)
  }

  /** Returns for how long its query has been seen to wait without a byte either way. */
  #silentMs(connection: Connection): number {
    const traffic = trafficOf(connection.client)
    if (!connection.isUsable || isReady(connection.client) || traffic === undefined) {
      this.#marks.delete(connection)
      return 0
    }
    const now = this.#options.clock.now()
    const mark = this.#marks.get(connection)
    if (mark?.traffic === traffic) return now - mark.since
    this.#marks.set(connection, { traffic, since: now })
    return 0
  }

  async #ask(silent: readonly Connection[]): Promise<void> {
    this.#isAsking = true
    try {
      for (const connection of await this.#options.findDead(silent)) {
        // It may have got its answer, and even another query, while the server was asked.
        const silentMs = this.#silentMs(connection)
        if (silentMs >= this.#options.deadAfterMs) this.#options.onDead(connection, silentMs)
      }
    } catch {
      // The server does not answer at all, so nothing is known of any connection: asked again at the next sweep.
    } finally {
      this.#isAsking = false
    }
  }
}
