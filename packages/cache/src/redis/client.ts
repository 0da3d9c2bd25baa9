/**
 * The one way to Redis: every command runs under a deadline and fails at once while the connection is known to be down. What
 * Redis cannot be told goes into the outbox. Nothing that was read counts unless it came from a server that was looked at, by
 * the connection that it was looked at by, with nothing left in the outbox: one that nobody has looked at may have lost what
 * its predecessor had acknowledged, and one that has a successor hears of nothing any more.
 */

import { BreakwaterError, type Clock, Deadline, isBreakwaterError, type Timer } from '@breakwater/kernel'
import type { Stored } from '../codec/header.js'
import { Breaker, type BreakerState, isAnswer } from './breaker.js'
import { Outbox, type Tell } from './outbox.js'
import { tracedOperation } from './redis-channel.js'
import { evaluate, isCluster, type RedisArgument, type RedisLike } from './redis-like.js'
import type { Script } from './script.js'
import type { Adopted } from './scripts.js'
import { SeenServer, type SeenServerParts, type Sighting } from './seen-server.js'

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

export interface RedisClientOptions extends Pick<SeenServerParts, 'route' | 'hasSuccessor'> {
  readonly clock: Clock
  readonly timeoutMs: number
  /** Entries of the outbox, a space; 0 for no outbox. */
  readonly outboxSize: number
  /** How many replicas must have what is told before it counts as acknowledged. */
  readonly replicas: number
  /** Returns the connection to the server that scripts run on. */
  readonly owner: () => Pick<RedisLike, 'call'>
  /** Looks at the server; see `adopt` in scripts.ts. */
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
  readonly #server: SeenServer
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
    this.#server = new SeenServer({ ...options, adopt: () => options.adopt(this.tell) })
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

  /** The server that was looked at; none on a connection on which none was. */
  get seen(): Sighting | undefined {
    return this.#server.sighting
  }

  /** The connection was lost: what the next one leads to has to be looked at. */
  disconnected(): void {
    this.#server.lost()
  }

  /** There is a connection again: whoever follows the log is to know soon to whom, and the outbox can be told. */
  reconnected(): void {
    if (this.#server.isReconnected) void this.#retryNow()
  }

  /**
   * Runs a script that reads, or stores what was read; its reply is the promise's value, with Buffers for strings if
   * `binary`.
   *
   * @throws {BreakwaterError} kind `rejected`, code `REDIS_DOWN`, without trying, while the connection is down, and when it
   *   was lost meanwhile (the script may have run); code `REDIS_OUTDATED` where the server has a successor; kind `timeout`,
   *   code `REDIS_TIMEOUT`, when no reply came in time (the script may still run); kind `rejected`, code
   *   `REDIS_BREAKER_OPEN`, without trying, for a while after that. The server's own errors pass through.
   */
  async run(script: Script, keys: readonly string[], args: readonly RedisArgument[], binary = false): Promise<unknown> {
    if (!this.#mayAsk()) await this.#settled()
    const way = this.#server.way()
    const reply = await this.#server.alsoLook(
      this.#bounded(script.name, () => evaluate(this.raw, script, keys, args, binary)),
    )
    if (way !== this.#server.way()) throw this.#down()
    return reply
  }

  /**
   * Reads plain values of one moment, as Buffers if `binary`. Rejects as `run` does.
   *
   * @returns none if the connection was lost meanwhile: the answer may be of a server that nobody has looked at.
   */
  async read(keys: string[], binary: boolean): Promise<Reading | undefined> {
    if (!this.#mayAsk()) await this.#settled()
    const way = this.#server.way()
    const reading = this.#bounded('mget', () =>
      binary ? this.raw.callBuffer('mget', keys) : this.raw.call('mget', keys),
    )
    const values = (await this.#server.alsoLook(reading)) as (Stored | null)[]
    return way === this.#server.way() ? { values, serverMs: this.#server.latestMs } : undefined
  }

  #mayAsk(): boolean {
    return this.#server.isKnown() && this.outbox.isEmpty && this.#breaker.state === 'closed'
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
      await this.#server.alsoLook(this.#options.replicas === 0 ? tell() : this.#replicated(tell))
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
    if (!this.#mayAsk()) await this.#settle()
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
    if (!this.#server.isKnown() || this.#breaker.state !== 'closed') await this.#server.look()
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
