/**
 * The one way to Redis: every command runs under a deadline and fails at once while the connection is known to be down. What
 * Redis cannot be told goes into the outbox; and nothing is read on a new connection, or with something in the outbox,
 * before the server was looked at and the outbox told.
 */

import { BreakwaterError, type Clock, Deadline, isBreakwaterError, type Timer } from '@breakwater/kernel'
import type { Stored } from '../codec/header.js'
import { Breaker, type BreakerState, isAnswer } from './breaker.js'
import { Outbox, type Tell } from './outbox.js'
import { tracedOperation } from './redis-channel.js'
import type { Script } from './script.js'
import type { Adopted } from './scripts.js'
import { ServerTime } from './server-time.js'

export type RedisArgument = string | number | Buffer

/** What the cache needs of any connection. */
interface ConnectionLike {
  readonly status: string
  call(command: string, args: RedisArgument[]): Promise<unknown>
  callBuffer(command: string, args: RedisArgument[]): Promise<unknown>
  disconnect(): void
  // biome-ignore lint/suspicious/noExplicitAny: the listener's shape depends on the event's name.
  on(event: string, listener: (...args: any[]) => void): unknown
  // biome-ignore lint/suspicious/noExplicitAny: see above.
  off(event: string, listener: (...args: any[]) => void): unknown
}

/** A connection to one server: an ioredis `Redis`. */
export interface NodeLike extends ConnectionLike {
  readonly options: { readonly host?: string | undefined; readonly port?: number | undefined }
  subscribe(channel: string): Promise<unknown>
  duplicate(override?: object): NodeLike
}

/** What the cache needs of a Cluster's client: an ioredis `Cluster`. */
export interface ClusterLike extends ConnectionLike {
  readonly isCluster: boolean
  readonly options: { readonly keyPrefix?: string | undefined; readonly scaleReads?: unknown }
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

/** Runs a script on any connection, unbounded. Its reply's strings are Buffers if `binary`. */
export async function evaluate(
  on: Pick<RedisLike, 'call' | 'callBuffer'>,
  script: Script,
  keys: readonly string[],
  args: readonly RedisArgument[],
  binary = false,
): Promise<unknown> {
  const tail = [keys.length, ...keys, ...args]
  const send = (command: string, what: string): Promise<unknown> =>
    binary ? on.callBuffer(command, [what, ...tail]) : on.call(command, [what, ...tail])
  try {
    return await send('evalsha', script.sha)
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
    return send('eval', script.source)
  }
}

/** Whether Redis acknowledged an invalidation, or will be told as soon as it can be. */
export type Acknowledgement = 'applied' | 'queued'

/** Something that Redis must be told, sooner or later. */
export interface Announcement {
  /** Of what it is one of many: a space. */
  readonly group: string
  /** What it is about; the last one about the same is enough. */
  readonly about: string
  readonly tell: Tell
  /** Tells Redis what stays true however late it is told. Default `tell`. */
  readonly later?: Tell
  /** Says at least as much as all announcements of the group. */
  readonly insteadOfAll: Tell
}

export interface RedisClientOptions {
  readonly clock: Clock
  readonly timeoutMs: number
  /** Entries of the outbox, a space; 0 for no outbox. */
  readonly outboxSize: number
  /** How many replicas must have what is told before it counts as acknowledged. */
  readonly replicas: number
  /** Returns the connection to the server that scripts run on. */
  readonly owner: () => Pick<RedisLike, 'call'>
  /** Looks at the server behind a new connection; see `adopt` in scripts.ts. */
  readonly adopt: (run: RedisClient['tell']) => Promise<Adopted>
}

/** What was read of one moment of the server. */
export interface Reading {
  readonly values: readonly (Stored | null)[]
  /** The latest that it can be on the server now, in ms. */
  readonly serverMs: number
}

/** States of ioredis in which a command would only queue until some reconnect. */
const DOWN: ReadonlySet<string> = new Set(['reconnecting', 'close', 'end'])

/** How long a Redis that did not answer is left alone. */
const BREAKER_RESET_MS = 500

/** So many time-outs it may take until a new server was looked at and the outbox told. */
const SETTLE_FACTOR = 2

/** How often the outbox is tried when nothing else does. */
const OUTBOX_RETRY_MS = 250

export class RedisClient {
  readonly raw: RedisLike
  readonly outbox: Outbox
  readonly #options: RedisClientOptions
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #breaker = new Breaker({ resetMs: BREAKER_RESET_MS })
  #lastReplyAt = 0
  /** The server behind the present connection was looked at. */
  #adopted = false
  /** Connections lost. */
  #losses = 0
  readonly #serverTime: ServerTime
  #settling: Promise<void> | undefined
  #retry: Timer | undefined
  #disposed = false
  /** Operations that failed, hung past their deadline or were not tried. */
  failures = 0

  constructor(raw: RedisLike, options: RedisClientOptions) {
    this.raw = raw
    this.#options = options
    this.#clock = options.clock
    this.#timeoutMs = options.timeoutMs
    this.#serverTime = new ServerTime(options.clock)
    this.outbox = new Outbox(Math.max(1, options.outboxSize))
  }

  get breaker(): BreakerState {
    return this.#breaker.state
  }

  /** Changes of the breaker's state so far, by the state that it came to. */
  get breakerTransitions(): Readonly<Record<BreakerState, number>> {
    return this.#breaker.transitions
  }

  dispose(): void {
    this.#disposed = true
    this.#retry?.cancel()
    this.#breaker.dispose()
  }

  /** The connection was lost: what the next one leads to has to be looked at. */
  disconnected(): void {
    this.#adopted = false
    this.#losses++
  }

  /** There is a connection again. */
  connected(): void {
    if (!this.outbox.isEmpty) void this.#retryNow()
  }

  /**
   * Runs a script that reads, or stores what was read; its reply is the promise's value, with Buffers for strings if
   * `binary`.
   *
   * @throws {BreakwaterError} kind `rejected`, code `REDIS_DOWN`, without trying, while the connection is down; kind
   *   `timeout`, code `REDIS_TIMEOUT`, when no reply came in time (the script may still run); kind `rejected`, code
   *   `REDIS_BREAKER_OPEN`, without trying, for a while after that. The server's own errors pass through.
   */
  async run(script: Script, keys: readonly string[], args: readonly RedisArgument[], binary = false): Promise<unknown> {
    if (!this.#adopted || !this.outbox.isEmpty) await this.#settled()
    return this.#bounded(script.name, () => evaluate(this.raw, script, keys, args, binary))
  }

  /**
   * Reads plain values of one moment, as Buffers if `binary`. Rejects as `run` does.
   *
   * @returns none if the connection was lost meanwhile: the answer may be of a server that nobody has looked at.
   */
  async read(keys: string[], binary: boolean): Promise<Reading | undefined> {
    if (!this.#adopted || !this.outbox.isEmpty) await this.#settled()
    const losses = this.#losses
    const time = this.#serverTime.isOld ? this.#lookAtTime() : undefined
    const reading = this.#bounded('mget', () =>
      binary ? this.raw.callBuffer('mget', keys) : this.raw.call('mget', keys),
    )
    if (time !== undefined) await Promise.all([time, reading])
    const values = (await reading) as (Stored | null)[]
    return losses === this.#losses ? { values, serverMs: this.#serverTime.latest } : undefined
  }

  async #lookAtTime(): Promise<void> {
    const askedAt = this.#clock.now()
    const [seconds, micros] = (await this.#bounded('time', () => this.#options.owner().call('time', []))) as [
      string,
      string,
    ]
    this.#serverTime.learn(Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000), askedAt)
  }

  /** Runs a script that only tells Redis something, whatever is in the outbox. Rejects as `run` does. */
  readonly tell = async (script: Script, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown> =>
    this.#bounded(script.name, () => evaluate(this.raw, script, keys, args))

  /**
   * Tells Redis, or keeps in the outbox what it could not be told.
   *
   * @throws what Redis answers to a mistake, such as NOPERM: it would answer the same later. Without an outbox, as `run`.
   */
  async announce(announcement: Announcement): Promise<Acknowledgement> {
    const { group, about, tell, later = tell, insteadOfAll } = announcement
    try {
      await (this.#options.replicas === 0 ? tell() : this.#replicated(tell))
      return 'applied'
    } catch (error) {
      if (this.#options.outboxSize === 0 || this.#disposed || isFinal(error)) throw error
      this.outbox.keep(group, about, later, insteadOfAll)
      this.#retryLater()
      return 'queued'
    }
  }

  /**
   * Tells Redis, and waits until its replicas have all that this connection has written.
   *
   * @throws {BreakwaterError} kind `timeout`, code `REDIS_NOT_REPLICATED`: it is told, and a failover may still lose it.
   */
  async #replicated(tell: Tell): Promise<void> {
    const { replicas } = this.#options
    await tell()
    // Less than an answer may take, or it would be taken for none.
    const waitMs = Math.ceil(this.#timeoutMs / 2)
    const reply = await this.#bounded('wait', () => this.#options.owner().call('wait', [replicas, waitMs]))
    const reached = Number(reply)
    if (reached >= replicas) return
    const message = `an invalidation is on ${reached} of ${replicas} replicas after ${waitMs} ms; it is applied, and a failover may lose it`
    throw new BreakwaterError('timeout', 'REDIS_NOT_REPLICATED', message, { elapsedMs: waitMs })
  }

  /** Looks at the server if it is a new one, and tells it what is in the outbox. Rejects if that cannot be done. */
  async catchUp(): Promise<void> {
    if (!this.#adopted || !this.outbox.isEmpty) await this.#settle()
  }

  /** Makes scripts known to the server. On a Cluster each node would have to be told: they are sent when they are needed. */
  async load(scripts: readonly Script[]): Promise<void> {
    if (isCluster(this.raw)) return
    const { raw } = this
    const load = ({ source }: Script): Promise<unknown> => raw.call('script', ['load', source])
    await Promise.all(scripts.map(script => this.#bounded('script load', () => load(script))))
  }

  /** Runs a plain command under the same bound. Its reply's strings are Buffers. */
  command(name: string, args: RedisArgument[]): Promise<unknown> {
    return this.#bounded(name, () => this.raw.callBuffer(name, args))
  }

  /** In which `run` and `read` settle. */
  get readMs(): number {
    return this.#timeoutMs * (1 + SETTLE_FACTOR)
  }

  /** Resolves when the server was looked at and the outbox is empty; bounded, also when there is much to tell. */
  async #settled(): Promise<void> {
    await new Deadline(this.#clock, this.#timeoutMs * SETTLE_FACTOR).race(this.#settle(), () =>
      this.#noReply('the outbox was not told'),
    )
  }

  #settle(): Promise<void> {
    this.#settling ??= this.#adoptAndFlush().finally(() => {
      this.#settling = undefined
    })
    return this.#settling
  }

  async #adoptAndFlush(): Promise<void> {
    // A breaker that is not closed lets one operation try: this one, and then what is in the outbox.
    if (!this.#adopted || this.#breaker.state !== 'closed') {
      const losses = this.#losses
      const askedAt = this.#clock.now()
      const [, serverMs] = await this.#options.adopt(this.tell)
      if (losses !== this.#losses) throw this.#down()
      this.#adopted = true
      this.#serverTime.learn(serverMs, askedAt)
    }
    await this.outbox.flush()
  }

  #retryLater(): void {
    if (this.#retry !== undefined || this.#disposed) return
    this.#retry = this.#clock.schedule(OUTBOX_RETRY_MS, () => void this.#retryNow())
  }

  async #retryNow(): Promise<void> {
    this.#retry?.cancel()
    this.#retry = undefined
    await this.#settle().catch(() => {})
    if (!this.outbox.isEmpty) this.#retryLater()
  }

  #bounded<T>(operation: string, start: () => Promise<T>): Promise<T> {
    return tracedOperation(operation, () => this.#guarded(start))
  }

  async #guarded<T>(start: () => Promise<T>): Promise<T> {
    try {
      if (DOWN.has(this.raw.status)) throw this.#down()
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
        this.#adopted = false
        reject(this.#noReply('the command may still run'))
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

  #down(): BreakwaterError {
    const message = `Redis is not connected (client status "${this.raw.status}")`
    return new BreakwaterError('rejected', 'REDIS_DOWN', message)
  }

  #noReply(rest: string): BreakwaterError {
    const message = `Redis gave no reply within ${this.#timeoutMs} ms (client status "${this.raw.status}"); ${rest}`
    return new BreakwaterError('timeout', 'REDIS_TIMEOUT', message, { elapsedMs: this.#timeoutMs })
  }
}

/** What Redis answers to a mistake; not what it answers for now. */
function isFinal(error: unknown): boolean {
  if (isBreakwaterError(error)) return error.code === 'REDIS_NOT_REPLICATED'
  return isAnswer(error) && !(error as Error).message.startsWith('OOM')
}
