/**
 * Hears that a lease this instance waits for has ended. One connection, subscribed to one channel of this instance's own;
 * a wake-up lost with the connection costs a waiter its fallback poll, never its answer.
 */

import { PATIENT, type RedisLike } from './client.js'

export class WakeChannel {
  readonly #connection: RedisLike

  /** @param onWake called with `<space>:<key>`. */
  constructor(redis: RedisLike, channel: string, onWake: (message: string) => void) {
    // A prefix of the client's would be put before the channel here, but not where a script publishes to it.
    this.#connection = redis.duplicate({ ...PATIENT, keyPrefix: '' })
    this.#connection.on('error', () => {})
    this.#connection.on('message', (_channel: string, message: string) => onWake(message))
    // ioredis subscribes again by itself after each reconnect.
    this.#connection.subscribe(channel).catch(() => {})
  }

  dispose(): void {
    this.#connection.disconnect()
  }
}
