/**
 * Follows the log of invalidations, so that what another instance deletes leaves this one's first tier too.
 *
 * The log is a stream: a follower that was away reads on where it stopped, where pub/sub would have lost what was said
 * meanwhile. Each entry names the one before it. So a follower knows that it has heard all when the entry it reads names
 * the last one that it had; any other name means that entries are missing (the log was trimmed past it, flushed, or rolled
 * back by a failover): it forgets all it holds and goes on from there. What no later entry would show, a log that ran
 * backwards and is silent, is seen by asking for the last entry's name on each new connection and in each silence.
 *
 *   holds e7      ... e7 <- e8 <- e9        reads e8: it names e7. Nothing was missed, nothing is forgotten.
 *   holds e7      (trimmed)    e9 <- e10    reads e9: it names e8. Missed.
 *   holds e7      ... e5 <- e6              reads nothing, and the last is e6. Rolled back: missed.
 *   holds e7      ... e6 <- f7 <- f8        reads f8: it names f7. Rolled back, and longer since: missed.
 *
 * The first tier is trusted until `maxLagMs` after the sending of the last request that was answered, with an empty answer
 * too: the answer holds all that the log held at some time after that. A server that hangs, a socket that is half open and
 * a process that stood still all end the trust by themselves.
 */

import { type Clock, Deadline } from '@breakwater/kernel'
import { closeConnection, connectToOwner } from './connections.js'
import { evaluate, isCluster, type NodeLike } from './redis-like.js'
import { type Adopted, adopt } from './scripts.js'
import { supersedes } from './seen-server.js'
import type { Shard } from './shards.js'

const BATCH = 1_000
const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 1_000

/** Ends the kind of an entry that takes nothing from a first tier: who does not know it may pass it over. */
export const ANCILLARY = '?'

export interface LogListener {
  /** From here on all is heard; what was read before may have been deleted unheard. */
  onBegin(): void
  /** An entry of the log: its kind, such as `key`, and whom it is about. */
  onEntry(kind: string, subject: string): void
  /** Entries may have been missed. */
  onGap(): void
}

type StreamReply = [name: Buffer, entries: [id: Buffer, fields: Buffer[]][]][] | null

export class InvalidationLog {
  /** Entries taken. */
  entries = 0
  /** Times that entries may have been missed. */
  gaps = 0
  /** Connections opened, the first included. */
  connections = 0
  /** How long the last entry took from Redis to here, and the longest; to within a round trip. */
  lagMs = 0
  longestLagMs = 0

  readonly #shard: Shard
  /** Its own, since a blocking read would hold up all others; a new one after each failure, so that no read of the old one is left in a queue. */
  #connection: NodeLike | undefined
  #openedAt = 0
  readonly #clock: Clock
  readonly #maxLagMs: number
  readonly #listener: LogListener
  /** Id of the last entry taken; none before the first connection. */
  #lastId: string | undefined
  /** What to add to our clock for the server's, as of the last look. */
  #serverAheadMs = 0
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
        const connection = this.#open()
        await this.#catchUp(connection)
        for (;;) {
          if ((await this.#read(connection, true)) === 0) await this.#catchUp(connection)
          retryMs = FIRST_RETRY_MS
        }
      } catch {
        // What is held is kept: it is trusted for what is left of its time, and again once nothing was missed.
        if (this.#stopped) return
        closeConnection(this.#connection)
        const { raw } = this.#shard.redis
        if (isCluster(raw)) raw.refreshSlotsCache()
        await this.#pause(retryMs * (0.5 + Math.random() / 2))
        retryMs = Math.min(LAST_RETRY_MS, retryMs * 2)
      }
    }
  }

  #open(): NodeLike {
    const connection = connectToOwner(this.#shard.redis.raw, this.#shard.slot)
    connection.on('error', () => {})
    this.#connection = connection
    this.#openedAt = this.#clock.now()
    this.connections++
    return connection
  }

  /** Looks where the log ends, and reads up to there. */
  async #catchUp(connection: NodeLike): Promise<void> {
    const sentAt = this.#clock.now()
    const control = this.#shard.layout.control()
    const reply = await this.#bounded(evaluate(connection, adopt, control, []))
    const [last, serverMs, sequence, lastTagId, server] = reply as Adopted
    const seen = { server, since: this.#openedAt }
    if (supersedes(this.#shard.redis.seen, seen)) throw new Error('the client is connected to a successor')
    this.#shard.followed = seen
    this.#serverAheadMs = serverMs - (sentAt + this.#clock.now()) / 2
    if (this.#lastId === undefined) {
      this.#shard.revoke()
      this.#listener.onBegin()
    } else if (this.#lastId !== last) {
      if ((await this.#read(connection, false)) > 0) return
      this.#gap(sequence)
    }
    this.#lastId = last
    this.#shard.tags.caughtUp(sequence, lastTagId)
    this.#trust(sentAt)
  }

  /** Takes what has come since, and returns how many entries. Waits for some on the server for a third of the trust. */
  async #read(connection: NodeLike, block: boolean): Promise<number> {
    const sentAt = this.#clock.now()
    const args = [
      'COUNT',
      BATCH,
      ...(block ? ['BLOCK', this.#blockMs] : []),
      'STREAMS',
      this.#shard.layout.control()[1],
    ]
    const reply = (await this.#bounded(connection.callBuffer('xread', [...args, this.#lastId || '0-0']))) as StreamReply
    const entries = reply?.[0]?.[1] ?? []
    for (const [id, fields] of entries) this.#take(id.toString(), fields.map(String))
    // A full answer may not be all that there was.
    if (entries.length < BATCH) this.#trust(sentAt)
    return entries.length
  }

  /** No longer than two thirds of the trust: then the socket is taken for dead. */
  async #bounded<T>(reply: Promise<T>): Promise<T> {
    const settled = await new Deadline(this.#clock, this.#blockMs * 2).race(reply, () => new Error('no reply'))
    if (this.#stopped) throw new Error('stopped')
    return settled
  }

  #take(id: string, [, previous, , kind = '', , subject = '', , count]: string[]): void {
    const sequence = Number(count)
    if (previous !== this.#lastId) this.#gap(sequence - 1)
    this.entries++
    this.#lastId = id
    this.lagMs = Math.max(0, this.#clock.now() + this.#serverAheadMs - Number.parseInt(id, 10))
    this.longestLagMs = Math.max(this.longestLagMs, this.lagMs)
    if (kind === 'tag') this.#shard.tags.delete(subject, sequence, id)
    this.#listener.onEntry(kind, subject)
  }

  #trust(sentAt: number): void {
    this.#shard.trust.until = sentAt + this.#maxLagMs
    for (const resolve of this.#onFollowing.splice(0)) resolve()
  }

  get #blockMs(): number {
    return Math.ceil(this.#maxLagMs / 3)
  }

  /** @param sequence count of the log after which all is heard again. */
  #gap(sequence: number): void {
    this.gaps++
    this.#shard.tags.missed(sequence)
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
