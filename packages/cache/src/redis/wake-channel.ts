/**
 * Hears that a lease this instance waits for has ended. One connection, subscribed to one channel of this instance's own;
 * on a Cluster to any node, since a publication reaches the subscribers of all. A wake-up lost with the connection costs a
 * waiter its fallback poll, never its answer.
 */

import { type Clock, Deadline, type Timer } from '@breakwater/kernel'
import { closeConnection } from './connections.js'
import type { NodeLike } from './redis-like.js'

const RETRY_MS = 500
/** How often the connection is asked whether it still is one, and how long it may take to say so. */
const HEARTBEAT_MS = 2_000

export class WakeChannel {
  readonly #open: () => NodeLike
  readonly #channel: string
  readonly #clock: Clock
  readonly #onWake: (message: string) => void
  #connection: NodeLike | undefined
  #timer: Timer | undefined
  #disposed = false

  /** @param onWake called with `<space>:<key>`. */
  constructor(open: () => NodeLike, channel: string, clock: Clock, onWake: (message: string) => void) {
    this.#open = open
    this.#channel = channel
    this.#clock = clock
    this.#onWake = onWake
    void this.#listen()
  }

  dispose(): void {
    this.#disposed = true
    this.#timer?.cancel()
    closeConnection(this.#connection)
  }

  async #listen(): Promise<void> {
    try {
      const connection = this.#open()
      this.#connection = connection
      connection.on('error', () => {})
      connection.on('message', (_channel: string, message: string) => this.#onWake(message))
      await this.#answered(connection.subscribe(this.#channel))
      this.#next(HEARTBEAT_MS, () => void this.#beat(connection))
    } catch {
      this.#retry()
    }
  }

  async #beat(connection: NodeLike): Promise<void> {
    try {
      await this.#answered(connection.call('ping', []))
      this.#next(HEARTBEAT_MS, () => void this.#beat(connection))
    } catch {
      this.#retry()
    }
  }

  #retry(): void {
    closeConnection(this.#connection)
    this.#next(RETRY_MS, () => void this.#listen())
  }

  #next(ms: number, action: () => void): void {
    if (!this.#disposed) this.#timer = this.#clock.schedule(ms, action)
  }

  #answered(reply: Promise<unknown>): Promise<unknown> {
    return new Deadline(this.#clock, HEARTBEAT_MS).race(reply, () => new Error('no reply'))
  }
}
