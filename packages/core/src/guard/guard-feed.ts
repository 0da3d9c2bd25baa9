/**
 * Feeds guards with rows that were inserted past this library (see guard-feed-sql.ts): takes the keys that wait, adds them,
 * and only then deletes them. Any instance may take them, since an add reaches every guard.
 *
 * A row is committed before its key can be fetched: until then, a few milliseconds, a guard may deny it, which is what
 * `highWater` is for. While this instance is not told, because its connection is gone, its guards let every read through.
 */

import { type Clock, type Logger, pause, systemClock } from '@breakwater/kernel'
import type { Pool, PoolClient } from '@breakwater/pool'
import type { Component } from '../lifecycle/component.js'
import { FEED_CHANNEL, FEED_TABLE } from './guard-feed-sql.js'

/** What is fed: a space with a guard. */
export interface FedSpace {
  readonly name: string
  readonly guard: { add(key: string): Promise<void>; open(): () => void } | undefined
}

export interface GuardFeedOptions {
  readonly pool: Pool
  readonly spaces: readonly FedSpace[]
  readonly logger?: Logger
  /** Default: the process's own. */
  readonly clock?: Clock
}

const BATCH = 500
/** A notification may be lost with its connection, and keys wait that another instance took and did not get done. */
const POLL_MS = 1_000
const FIRST_RETRY_MS = 100
const LAST_RETRY_MS = 5_000

const TAKE = `select id, space, key from ${FEED_TABLE} where space = any($1) order by id limit ${BATCH} for update skip locked`
const DONE = `delete from ${FEED_TABLE} where id = any($1)`

interface Waiting {
  readonly id: string
  readonly space: string
  readonly key: string
}

/** Returns a component for `data.add(...)`. It holds one connection of the pool. */
export function guardFeed(options: GuardFeedOptions): Component {
  const feed = new GuardFeed(options)
  return { name: 'guard-feed', start: () => feed.start(), stop: () => feed.stop() }
}

class GuardFeed {
  readonly #pool: Pool
  readonly #spaces: ReadonlyMap<string, FedSpace['guard']>
  readonly #logger: Logger | undefined
  readonly #clock: Clock
  readonly #stopped = new AbortController()
  #running: Promise<void> | undefined
  #wake: (() => void) | undefined

  constructor({ pool, spaces, logger, clock = systemClock }: GuardFeedOptions) {
    this.#pool = pool
    this.#spaces = new Map(spaces.map(({ name, guard }) => [name, guard]))
    this.#logger = logger
    this.#clock = clock
  }

  /** Resolves when all that waited has been taken; rejects if that failed, and goes on trying. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#running ??= this.#run(resolve, reject)
    })
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new Error('the feed has been stopped'))
    this.#wake?.()
    await this.#running
  }

  async #run(onFed: () => void, onFailed: (error: unknown) => void): Promise<void> {
    const { signal } = this.#stopped
    let retryMs = FIRST_RETRY_MS
    let close = this.#open()
    const fed = (): void => {
      close()
      retryMs = FIRST_RETRY_MS
      onFed()
    }
    while (!signal.aborted) {
      try {
        await this.#follow(fed)
      } catch (error) {
        if (signal.aborted) break
        close()
        close = this.#open()
        onFailed(error)
        this.#logger?.warn(
          { event: 'guard.feed-lost', err: error },
          `the feed of guards was lost; their spaces let every read through; next try in ${retryMs} ms`,
        )
        await pause(this.#clock, retryMs, signal).catch(() => {})
        retryMs = Math.min(LAST_RETRY_MS, retryMs * 2)
      }
    }
    close()
  }

  /** Takes what waits, now and whenever there is more; rejects when the connection is gone. */
  async #follow(fed: () => void): Promise<void> {
    const client = await this.#pool.connect()
    let lost: unknown
    const onLost = (error?: unknown): void => {
      lost = error ?? new Error('the connection of the feed has ended')
      this.#wake?.()
    }
    const onNotified = (): void => this.#wake?.()
    client.on('notification', onNotified)
    client.on('error', onLost)
    client.on('end', onLost)
    try {
      await client.query(`listen ${FEED_CHANNEL}`)
      while (!this.#stopped.signal.aborted) {
        const told = new Promise<void>(resolve => {
          this.#wake = resolve
        })
        while ((await this.#take(client)) === BATCH) if (this.#stopped.signal.aborted) return
        fed()
        if (lost !== undefined) throw lost
        await this.#wait(told)
        if (lost !== undefined) throw lost
      }
    } finally {
      client.off('notification', onNotified)
      client.off('error', onLost)
      client.off('end', onLost)
      // It listens: nobody else may have it.
      client.release(true)
    }
  }

  async #take(client: PoolClient): Promise<number> {
    await client.query('begin')
    try {
      const { rows } = await client.query<Waiting>(TAKE, [[...this.#spaces.keys()]])
      await Promise.all(rows.map(({ space, key }) => this.#spaces.get(space)?.add(key)))
      if (rows.length > 0) await client.query(DONE, [rows.map(({ id }) => id)])
      await client.query('commit')
      return rows.length
    } catch (error) {
      await client.query('rollback').catch(() => {})
      throw error
    }
  }

  async #wait(told: Promise<void>): Promise<void> {
    const timer = new AbortController()
    await Promise.race([told, pause(this.#clock, POLL_MS, timer.signal).catch(() => {})])
    timer.abort()
  }

  #open(): () => void {
    const closes = [...this.#spaces.values()].flatMap(guard => guard?.open() ?? [])
    return () => {
      for (const close of closes.splice(0)) close()
    }
  }
}
