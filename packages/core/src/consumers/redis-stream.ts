/**
 * Takes the entries of a Redis stream as one of a group, and acknowledges each when its handler is done: every entry is
 * handled at least once, and one that was handled is not given out again, unless the process was killed in between.
 */

import { hostname } from 'node:os'
import { type Clock, type Duration, Faults, parseDuration, type StepContext, systemClock } from '@breakwater/kernel'
import type { Consumer } from '../lifecycle/component.js'
import { closeRedisClient, type Redis, whenReady } from '../redis-client.js'
import { sleep } from '../work/sleep.js'
import { Taking } from './taking.js'

export interface StreamEntry {
  readonly id: string
  readonly fields: Readonly<Record<string, string>>
}

export interface RedisStreamOptions {
  /** What acknowledges; reading, which blocks, gets a connection of its own. */
  readonly redis: Redis
  readonly stream: string
  /** Made if it is not there, to begin at the oldest entry. */
  readonly group: string
  /** Of this process within the group. Default: host and process id. */
  readonly consumer?: string
  /** Handles an entry; if it fails the entry is given out again after `claimAfter`. Should let go when `signal` is aborted. */
  readonly handle: (entry: StreamEntry, context: { readonly signal: AbortSignal }) => unknown
  /** Told of a handler that failed, and of a Redis that cannot be read. Default: nobody is. */
  readonly onError?: (error: unknown, entry?: StreamEntry) => void
  /** Entries taken, and handled, at a time. Default 10. */
  readonly batch?: number
  /** How long a read waits for entries, and so a pause for the read. Default 500 ms. */
  readonly block?: Duration
  /** Entries that nobody has acknowledged for this long are taken over, by whomever they were taken. Default 60 s. */
  readonly claimAfter?: Duration
  /** Default: the process's own. */
  readonly clock?: Clock
}

/** Between two attempts while Redis is away. */
const AWAY_MS = 500

/** @throws {BreakwaterError} kind `usage`, code `OPTION_INVALID`. */
export function redisStreamConsumer(options: RedisStreamOptions): Consumer {
  return new RedisStreamConsumer(options)
}

type RawEntry = [id: string, fields: string[] | null]

class RedisStreamConsumer implements Consumer {
  readonly #options: RedisStreamOptions
  readonly #clock: Clock
  readonly #consumer: string
  readonly #batch: number
  readonly #blockMs: number
  readonly #claimAfterMs: number
  readonly #taking: Taking
  /** Handled, and not known to be acknowledged. */
  readonly #handled = new Set<string>()
  #reader: Redis | undefined
  #claimAt = 0

  constructor(options: RedisStreamOptions) {
    const { batch = 10, block = 500, claimAfter = 60_000, consumer, clock = systemClock } = options
    const faults = new Faults()
    for (const key of ['stream', 'group'] as const) {
      faults.check(typeof options[key] === 'string' && options[key] !== '', `${key} must be a name`)
    }
    faults.check(typeof options.handle === 'function', 'handle must be a function')
    faults.check(Number.isInteger(batch) && batch > 0, 'batch must be a whole number above 0')
    // 0 would be for ever.
    faults.check((parseDuration(block) ?? 0) >= 1, 'block must be a duration of 1 ms or more')
    faults.check(parseDuration(claimAfter) !== undefined, 'claimAfter must be a duration')
    faults.throwIfAny('OPTION_INVALID', 'redisStreamConsumer')
    this.#options = options
    this.#clock = clock
    this.#taking = new Taking(clock)
    this.#consumer = consumer ?? `${hostname()}-${process.pid}`
    this.#batch = batch
    this.#blockMs = Math.ceil(parseDuration(block) as number)
    this.#claimAfterMs = Math.ceil(parseDuration(claimAfter) as number)
  }

  async start({ signal }: StepContext): Promise<void> {
    const reader = this.#options.redis.duplicate()
    this.#reader = reader
    reader.on('error', error => this.#options.onError?.(error))
    try {
      await whenReady(reader, signal)
      await this.#makeGroup()
    } catch (error) {
      reader.disconnect()
      throw error
    }
    this.#taking.begin(1, () => this.#take(reader))
  }

  /** What the read under way still brings has been given to this consumer, and is handled. */
  pause(): void {
    this.#taking.pause()
  }

  finish(context: StepContext): Promise<void> {
    return this.#taking.finish(context)
  }

  /** Acknowledges once more what could not be acknowledged at once. */
  async commit({ signal }: StepContext): Promise<void> {
    while (this.#handled.size > 0) {
      const [first] = this.#handled
      const isGone = await this.#acknowledge(first as string)
      if (isGone) continue
      if (signal.aborted) throw new Error(`${this.#handled.size} entries were handled and could not be acknowledged`)
      await sleep(this.#clock, AWAY_MS, signal)
    }
  }

  async disconnect(context: StepContext): Promise<void> {
    this.#taking.end()
    if (this.#reader !== undefined) await closeRedisClient(this.#reader, context)
  }

  async #makeGroup(): Promise<void> {
    const { redis, stream, group } = this.#options
    try {
      await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
    } catch (error) {
      if (!String(error).includes('BUSYGROUP')) throw error
    }
  }

  async #take(reader: Redis): Promise<number> {
    try {
      const entries = await this.#read(reader)
      await Promise.all(entries.map(entry => this.#handle(entry)))
      return 0
    } catch (error) {
      if (this.#taking.paused.aborted) return 0
      this.#options.onError?.(error)
      // The server has lost its data, and the group with it.
      if (String(error).includes('NOGROUP')) await this.#makeGroup().catch(() => {})
      return AWAY_MS
    }
  }

  async #read(reader: Redis): Promise<readonly RawEntry[]> {
    const { stream, group } = this.#options
    if (this.#clock.now() >= this.#claimAt) {
      const claimed = await reader.xautoclaim(
        ...([stream, group, this.#consumer, this.#claimAfterMs, '0-0', 'COUNT', this.#batch] as const),
      )
      const entries = claimed[1] as RawEntry[]
      if (entries.length > 0) return entries
      this.#claimAt = this.#clock.now() + this.#claimAfterMs / 2
    }
    const read = await reader.xreadgroup(
      ...(['GROUP', group, this.#consumer, 'COUNT', this.#batch, 'BLOCK', this.#blockMs] as const),
      ...(['STREAMS', stream, '>'] as const),
    )
    return (read as [string, RawEntry[]][] | null)?.[0]?.[1] ?? []
  }

  async #handle([id, fields]: RawEntry): Promise<void> {
    // Deleted from the stream since it was given out: there is nothing to handle, only to acknowledge.
    const entry = { id, fields: pairs(fields ?? []) }
    try {
      if (fields !== null && !this.#handled.has(id)) {
        await this.#options.handle(entry, { signal: this.#taking.force })
      }
    } catch (error) {
      this.#options.onError?.(error, entry)
      return
    }
    this.#handled.add(id)
    await this.#acknowledge(id)
  }

  /** Resolves with whether Redis knows; what it does not is told again by `commit`. */
  async #acknowledge(id: string): Promise<boolean> {
    const { redis, stream, group } = this.#options
    try {
      await redis.xack(stream, group, id)
    } catch {
      return false
    }
    return this.#handled.delete(id)
  }
}

function pairs(flat: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = Object.create(null)
  for (let i = 0; i + 1 < flat.length; i += 2) fields[flat[i] as string] = flat[i + 1] as string
  return fields
}
