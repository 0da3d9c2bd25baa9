/** The one way to Redis: every script runs under a deadline and fails at once while the connection is known to be down. */

import { createHash } from 'node:crypto'
import { BreakwaterError, type Clock } from '@breakwater/kernel'

export type RedisArgument = string | number | Buffer

/** What the cache needs of a client. An ioredis `Redis` fits (a type test holds it to that). */
export interface RedisLike {
  readonly status: string
  call(command: string, args: RedisArgument[]): Promise<unknown>
  callBuffer(command: string, args: RedisArgument[]): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  duplicate(override?: object): RedisLike
  // biome-ignore lint/suspicious/noExplicitAny: the listener's shape depends on the event's name.
  on(event: string, listener: (...args: any[]) => void): unknown
  disconnect(): void
}

/**
 * For the cache's own connections, whatever the client's settings are: their first command waits for the connect, and a
 * silence is bounded by who listens.
 */
export const PATIENT = {
  lazyConnect: false,
  enableOfflineQueue: true,
  maxRetriesPerRequest: null,
  commandTimeout: undefined,
  socketTimeout: undefined,
} as const

/** A Lua script, sent by its digest and in full only when the server does not know it. */
export class Script {
  readonly source: string
  readonly sha: string

  constructor(source: string) {
    this.source = source
    this.sha = createHash('sha1').update(source).digest('hex')
  }
}

/** States of ioredis in which a command would only queue until some reconnect. */
const DOWN: ReadonlySet<string> = new Set(['reconnecting', 'close', 'end'])

export class RedisClient {
  readonly raw: RedisLike
  readonly #clock: Clock
  readonly #timeoutMs: number
  /** Operations that failed, hung past their deadline or were not tried. */
  failures = 0

  constructor(raw: RedisLike, clock: Clock, timeoutMs: number) {
    this.raw = raw
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /**
   * Runs `script`; its reply is the promise's value.
   *
   * @throws {BreakwaterError} kind `rejected`, code `REDIS_DOWN`, without trying, while the connection is down; kind
   *   `timeout`, code `REDIS_TIMEOUT`, when no reply came in time (the script may still run). The server's own errors
   *   pass through.
   */
  run(script: Script, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown> {
    const tail = [keys.length, ...keys, ...args]
    return this.#bounded(() =>
      this.raw.call('evalsha', [script.sha, ...tail]).catch((error: unknown) => {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
        return this.raw.call('eval', [script.source, ...tail])
      }),
    )
  }

  /** Runs a plain command under the same bound. Its reply's strings are Buffers. */
  command(name: string, args: RedisArgument[]): Promise<unknown> {
    return this.#bounded(() => this.raw.callBuffer(name, args))
  }

  #bounded<T>(start: () => Promise<T>): Promise<T> {
    if (DOWN.has(this.raw.status)) {
      this.failures++
      return Promise.reject(
        new BreakwaterError('rejected', 'REDIS_DOWN', `Redis is not connected (client status "${this.raw.status}")`),
      )
    }
    return new Promise<T>((resolve, reject) => {
      const timer = this.#clock.schedule(this.#timeoutMs, () => {
        this.failures++
        reject(
          new BreakwaterError(
            'timeout',
            'REDIS_TIMEOUT',
            `Redis gave no reply within ${this.#timeoutMs} ms (client status "${this.raw.status}"); the command may still run`,
            { elapsedMs: this.#timeoutMs },
          ),
        )
      })
      start().then(
        value => {
          timer.cancel()
          resolve(value)
        },
        (error: unknown) => {
          timer.cancel()
          this.failures++
          reject(error)
        },
      )
    })
  }
}
