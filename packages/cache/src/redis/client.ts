/** The one way to Redis: every script runs under a deadline and fails at once while the connection is known to be down. */

import { createHash } from 'node:crypto'
import { BreakwaterError, type Clock } from '@breakwater/kernel'
import { Breaker } from './breaker.js'

export type RedisArgument = string | number | Buffer

/** What the cache needs of any connection. */
interface ConnectionLike {
  readonly status: string
  call(command: string, args: RedisArgument[]): Promise<unknown>
  callBuffer(command: string, args: RedisArgument[]): Promise<unknown>
  disconnect(): void
}

/** A connection to one server: an ioredis `Redis`. */
export interface NodeLike extends ConnectionLike {
  readonly options: { readonly host?: string | undefined; readonly port?: number | undefined }
  subscribe(channel: string): Promise<unknown>
  duplicate(override?: object): NodeLike
  // biome-ignore lint/suspicious/noExplicitAny: the listener's shape depends on the event's name.
  on(event: string, listener: (...args: any[]) => void): unknown
}

/** What the cache needs of a Cluster's client: an ioredis `Cluster`. */
export interface ClusterLike extends ConnectionLike {
  readonly isCluster: boolean
  readonly options: { readonly keyPrefix?: string | undefined }
  /** By slot the names of its nodes, `host:port`, its master first; empty while the client does not know them. */
  readonly slots: readonly (readonly string[])[]
  nodes(): NodeLike[]
  /** Asks the nodes who owns which slot. */
  refreshSlotsCache(callback?: (error?: unknown) => void): void
}

/** What the cache needs of a client. An ioredis `Redis` or `Cluster` fits (a type test holds them to that). */
export type RedisLike = NodeLike | ClusterLike

export function isCluster(client: RedisLike): client is ClusterLike {
  return (client as Partial<ClusterLike>).isCluster === true
}

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

/** How long a Redis that did not answer is left alone. */
const BREAKER_RESET_MS = 500

export class RedisClient {
  readonly raw: RedisLike
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #breaker = new Breaker({ resetMs: BREAKER_RESET_MS })
  #lastReplyAt = 0
  /** Operations that failed, hung past their deadline or were not tried. */
  failures = 0

  constructor(raw: RedisLike, clock: Clock, timeoutMs: number) {
    this.raw = raw
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  get breaker(): 'closed' | 'open' | 'half-open' {
    return this.#breaker.state
  }

  dispose(): void {
    this.#breaker.dispose()
  }

  /**
   * Runs `script`; its reply is the promise's value.
   *
   * @throws {BreakwaterError} kind `rejected`, code `REDIS_DOWN`, without trying, while the connection is down; kind
   *   `timeout`, code `REDIS_TIMEOUT`, when no reply came in time (the script may still run); kind `rejected`, code
   *   `REDIS_BREAKER_OPEN`, without trying, for a while after that. The server's own errors
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

  async #bounded<T>(start: () => Promise<T>): Promise<T> {
    try {
      if (DOWN.has(this.raw.status)) {
        const message = `Redis is not connected (client status "${this.raw.status}")`
        throw new BreakwaterError('rejected', 'REDIS_DOWN', message)
      }
      return await this.#breaker.run(() => this.#attempt(start))
    } catch (error) {
      this.failures++
      throw error
    }
  }

  #attempt<T>(start: () => Promise<T>): Promise<T> {
    const sentAt = this.#clock.now()
    return new Promise<T>((resolve, reject) => {
      let over = false
      const giveUp = (): void => {
        if (over) return
        // Other operations had no answer either in all that time: the server or the way to it is dead, not this script slow.
        if (this.#lastReplyAt <= sentAt) this.#breaker.trip()
        reject(
          new BreakwaterError(
            'timeout',
            'REDIS_TIMEOUT',
            `Redis gave no reply within ${this.#timeoutMs} ms (client status "${this.raw.status}"); the command may still run`,
            { elapsedMs: this.#timeoutMs },
          ),
        )
      }
      // When this process itself was held up, the reply may lie in the socket: it gets one turn of the loop to be read.
      const timer = this.#clock.schedule(this.#timeoutMs, () => setImmediate(() => setImmediate(giveUp)))
      const replied = (): void => {
        over = true
        timer.cancel()
        this.#lastReplyAt = this.#clock.now()
      }
      start().then(
        value => {
          replied()
          resolve(value)
        },
        (error: unknown) => {
          replied()
          reject(error)
        },
      )
    })
  }
}
