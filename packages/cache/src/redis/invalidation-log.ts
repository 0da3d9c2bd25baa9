/**
 * Follows the log of invalidations, so that what another instance deletes leaves this one's first tier too.
 *
 * The log is a stream: a follower that was away reads on where it stopped, where pub/sub would have lost what was said
 * meanwhile. Each entry carries a number that its script counted up; a follower that meets any other number than the next
 * one has missed something (the log was trimmed past it, flushed, or rolled back by a failover), forgets all it holds and
 * goes on from there. So does one whose connection failed.
 *
 * While replies come, an empty one included, the first tier is trusted for `maxLagMs` more. A server that hangs or a
 * socket that is half open gives no reply, and the trust runs out by itself.
 */

import { type Clock, Deadline } from '@breakwater/kernel'
import { isCluster, type NodeLike } from './client.js'
import { closeConnection, connectToOwner } from './connections.js'
import { logPosition } from './scripts.js'
import type { Shard } from './shards.js'

const BATCH = 1_000
const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 2_000

export interface LogListener {
  /** A key was invalidated: `<space>:<key>`. */
  onInvalidated(message: string): void
  /** Invalidations may have been missed. */
  onGap(): void
}

type StreamReply = [name: Buffer, entries: [id: Buffer, fields: Buffer[]][]][] | null

export class InvalidationLog {
  /** Entries taken. */
  invalidations = 0
  /** Times that entries may have been missed. */
  gaps = 0

  readonly #shard: Shard
  /** Its own, since a blocking read would hold up all others; a new one after each failure, so that no read of the old one is left in a queue. */
  #connection: NodeLike | undefined
  readonly #clock: Clock
  readonly #maxLagMs: number
  readonly #listener: LogListener
  #lastId = '0-0'
  #sequence = 0
  #started = false
  #stopped = false
  #wakeFromPause: (() => void) | undefined
  #onFollowing: (() => void)[] = []

  constructor(shard: Shard, clock: Clock, maxLagMs: number, listener: LogListener) {
    this.#shard = shard
    this.#clock = clock
    this.#maxLagMs = maxLagMs
    this.#listener = listener
  }

  /** Begins to follow; called again it does nothing. */
  start(): void {
    if (this.#started || this.#stopped) return
    this.#started = true
    void this.#follow()
  }

  get isFollowing(): boolean {
    return this.#shard.trust.until > this.#clock.now()
  }

  /** Resolves when the log is followed. */
  async following(): Promise<void> {
    if (!this.isFollowing) await new Promise<void>(resolve => this.#onFollowing.push(resolve))
  }

  dispose(): void {
    this.#stopped = true
    this.#shard.revoke()
    this.#wakeFromPause?.()
    closeConnection(this.#connection)
  }

  async #follow(): Promise<void> {
    let retryMs = FIRST_RETRY_MS
    while (!this.#stopped) {
      try {
        const connection = await this.#open()
        // The first one does not block, so that whoever waits for the following to begin need not wait for a reply to nothing.
        await this.#read(connection, [])
        for (;;) {
          await this.#read(connection, ['BLOCK', this.#blockMs])
          retryMs = FIRST_RETRY_MS
        }
      } catch {
        if (this.#stopped) return
        closeConnection(this.#connection)
        // Not trusted at all from here: what the connection would have said next is unknown.
        this.#gap()
        const { raw } = this.#shard.redis
        if (isCluster(raw)) raw.refreshSlotsCache()
        await this.#pause(retryMs * (0.5 + Math.random() / 2))
        retryMs = Math.min(LAST_RETRY_MS, retryMs * 2)
      }
    }
  }

  async #open(): Promise<NodeLike> {
    const { redis, layout, slot } = this.#shard
    const [id, sequence] = (await redis.run(logPosition, [layout.log(), layout.logSequence()], [])) as [string, string]
    this.#lastId = id
    this.#sequence = Number(sequence)
    if (this.#stopped) throw new Error('stopped')
    const connection = connectToOwner(redis.raw, slot)
    connection.on('error', () => {})
    this.#connection = connection
    return connection
  }

  /** Blocks on the server for a third of the trust, and here for no longer than two thirds: then the socket is taken for dead. */
  async #read(connection: NodeLike, block: (string | number)[]): Promise<void> {
    const args = ['COUNT', BATCH, ...block, 'STREAMS', this.#shard.layout.log(), this.#lastId]
    const reply = (await new Deadline(this.#clock, this.#blockMs * 2).race(
      connection.callBuffer('xread', args),
      () => new Error('no reply'),
    )) as StreamReply
    if (this.#stopped) throw new Error('stopped')
    for (const [id, fields] of reply?.[0]?.[1] ?? []) this.#take(id.toString(), fields)
    this.#shard.trust.until = this.#clock.now() + this.#maxLagMs
    for (const resolve of this.#onFollowing.splice(0)) resolve()
  }

  #take(id: string, fields: Buffer[]): void {
    const sequence = Number(fields[1])
    if (sequence !== this.#sequence + 1) this.#gap()
    this.invalidations++
    this.#sequence = sequence
    this.#lastId = id
    this.#listener.onInvalidated(fields[3]?.toString() ?? '')
  }

  get #blockMs(): number {
    return Math.ceil(this.#maxLagMs / 3)
  }

  #gap(): void {
    this.gaps++
    this.#shard.revoke()
    this.#listener.onGap()
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>(resolve => {
      const timer = this.#clock.schedule(ms, resolve)
      this.#wakeFromPause = () => {
        timer.cancel()
        resolve()
      }
    })
    this.#wakeFromPause = undefined
  }
}
