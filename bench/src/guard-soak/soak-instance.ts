/**
 * One instance of the soak: it inserts, rolls back and deletes rows, and asks its guard all the time, for rows that some
 * process has just committed as much as for ids that never were. Whatever is denied and was known to exist is looked up
 * in the table, and what is still there was denied wrongly: ids are used once, so it was there all the time.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { type BoundGuard, bloomGuard, type Space } from '@breakwater/cache'
import pg from 'pg'
import { Latencies } from '../load/latency.js'
import { createRandom, type Random } from '../load/random.js'
import type { SoakAssignment, SoakCounts, SoakState } from './protocol.js'
import { CHANNEL, type Items, listen, openItems } from './table.js'

const EXPECTED = 60_000
const ERROR_RATE = 0.01
/** Between two pieces of load, in ms, and the guard's answers in each. */
const PIECE_MS = 5
const ANSWERS_A_PIECE = 30
/** Reads of the whole way in each, for rows committed this long ago, in ms: until then a cache may know them as absent. */
const SETTLED_MS = 5_000
const WRITERS = 2
/** The rows that are asked for most. */
const FRESH = 200
const MOST_KNOWN = 20_000
/** Ids that exist are even, ids that never do are odd. */
const RANGE = 2 ** 40

type Counts = { -readonly [N in keyof SoakCounts]: SoakCounts[N] }

interface Known {
  readonly id: string
  readonly at: number
}

export class SoakInstance {
  readonly #assignment: SoakAssignment
  readonly #items: Items
  readonly #listener: pg.Client
  readonly #space: Space<{ id: string }, string>
  readonly #guard: BoundGuard
  readonly #random: Random
  /** Committed, oldest first, and not known to be deleted. */
  #known: Known[] = []
  readonly #gone = new Set<string>()
  readonly #evidence: string[] = []
  readonly #addLatency = new Latencies()
  #running = false
  #work: Promise<unknown> = Promise.resolve()
  readonly #counts: Counts = {
    existing: 0,
    absent: 0,
    falseNegatives: 0,
    letThrough: 0,
    reads: 0,
    wrongReads: 0,
    inserted: 0,
    rolledBack: 0,
    deleted: 0,
    refused: 0,
  }

  private constructor(assignment: SoakAssignment) {
    this.#assignment = assignment
    this.#random = createRandom(assignment.seed, 'soak', assignment.instance)
    this.#items = openItems(assignment.postgresUrl, assignment.redisUrl, assignment.namespace)
    this.#listener = new pg.Client({ connectionString: assignment.postgresUrl })
    this.#space = this.#items.data.cache.space<{ id: string }, string>('item', {
      ttl: '1s',
      absentTtl: 1,
      loadBackoff: 0,
      load: async id => ((await this.#items.exists(id)) ? { id } : null),
      guard: bloomGuard({
        scan: () => this.#items.scan(),
        expected: EXPECTED,
        errorRate: ERROR_RATE,
        rebuildEvery: '15s',
      }),
    })
    this.#guard = this.#space.guard as BoundGuard
  }

  static async open(assignment: SoakAssignment): Promise<SoakInstance> {
    const instance = new SoakInstance(assignment)
    await instance.#listener.connect()
    await listen(
      instance.#listener,
      id => instance.#onInserted(id),
      id => instance.#gone.add(id),
    )
    await instance.#items.data.init()
    return instance
  }

  begin(): void {
    this.#running = true
    this.#work = Promise.all([this.#ask(), this.#delete(), ...Array.from({ length: WRITERS }, () => this.#write())])
  }

  state(): SoakState {
    const { stats } = this.#guard
    return {
      counts: { ...this.#counts },
      addLatency: this.#addLatency.encode(),
      guard: stats,
      evidence: this.#evidence,
    }
  }

  rebuild(): Promise<void> {
    return this.#guard.rebuild()
  }

  async close(): Promise<void> {
    this.#running = false
    await this.#work
    await this.#items.data.dispose({ deadline: '3s' })
    await this.#listener.end()
  }

  #onInserted(id: string): void {
    this.#known.push({ id, at: performance.now() })
    if (this.#known.length > MOST_KNOWN) this.#known = this.#known.slice(MOST_KNOWN / 2)
    // At once: the first moment after the COMMIT is the one that counts.
    if (this.#running) void this.#askFor(id)
  }

  async #ask(): Promise<void> {
    while (this.#running) {
      await sleep(PIECE_MS)
      for (let i = 0; i < ANSWERS_A_PIECE; i++) {
        const kind = this.#random()
        if (kind < 0.6) void this.#askForAbsent()
        else {
          const known = this.#draw(kind < 0.8)
          if (known !== undefined) void this.#askFor(known.id)
        }
      }
      const known = this.#draw(false)
      if (known !== undefined && performance.now() - known.at > SETTLED_MS) void this.#read(known.id)
    }
  }

  async #askFor(id: string): Promise<void> {
    const maybe = await this.#guard.mayContain(id)
    this.#counts.existing++
    if (!maybe && !this.#gone.has(id)) await this.#judge(id)
  }

  async #judge(id: string): Promise<void> {
    const { state } = this.#guard
    try {
      if (!(await this.#items.exists(id))) return
    } catch {
      return
    }
    this.#counts.falseNegatives++
    this.#evidence.push(`${new Date().toISOString()} instance ${this.#assignment.instance}: ${id}, guard ${state}`)
  }

  async #askForAbsent(): Promise<void> {
    const id = String(2 * Math.floor(this.#random() * (RANGE / 2)) + 1)
    const maybe = await this.#guard.mayContain(id)
    this.#counts.absent++
    if (maybe) this.#counts.letThrough++
  }

  /** The whole way: guard, Redis, loader. */
  async #read(id: string): Promise<void> {
    try {
      const value = await this.#space.get(id)
      this.#counts.reads++
      if (value !== null || this.#gone.has(id) || !(await this.#items.exists(id))) return
    } catch {
      return
    }
    this.#counts.wrongReads++
    this.#evidence.push(`${new Date().toISOString()} instance ${this.#assignment.instance}: read of ${id}`)
  }

  #draw(fresh: boolean): Known | undefined {
    const count = fresh ? Math.min(FRESH, this.#known.length) : this.#known.length
    return this.#known[this.#known.length - 1 - Math.floor(this.#random() * count)]
  }

  async #write(): Promise<void> {
    while (this.#running) {
      await sleep(10 + this.#random() * 30)
      await this.#insert().catch(() => {})
    }
  }

  async #insert(): Promise<void> {
    const id = String(2 * Math.floor(this.#random() * (RANGE / 2)))
    const client = await this.#items.data.pool.connect()
    try {
      await client.query('begin')
      try {
        const startedAt = performance.now()
        try {
          await this.#guard.add(id)
        } catch (error) {
          this.#counts.refused++
          throw error
        }
        this.#addLatency.record(performance.now() - startedAt)
        await this.#linger()
        await client.query('insert into items values ($1)', [id])
        await client.query('select pg_notify($1, $2)', [CHANNEL, id])
        if (this.#random() < 0.2) {
          await client.query('rollback')
          this.#counts.rolledBack++
          return
        }
        await client.query('commit')
        this.#counts.inserted++
      } catch (error) {
        await client.query('rollback')
        throw error
      }
    } finally {
      client.release()
    }
    await this.#space.delete(id)
  }

  /** Now and then a transaction stays open for long enough that a whole build fits into it. */
  async #linger(): Promise<void> {
    const kind = this.#random()
    if (kind < 0.02) await sleep(1_500)
    else if (kind < 0.3) await sleep(this.#random() * 50)
  }

  async #delete(): Promise<void> {
    while (this.#running) {
      await sleep(200)
      const known = this.#draw(false)
      if (known === undefined || this.#gone.has(known.id)) continue
      try {
        // Told before, so that nobody takes it for a row that is there; the row itself is the judge.
        await this.#items.data.pool.query('select pg_notify($1, $2)', [CHANNEL, `-${known.id}`])
        await this.#items.data.pool.query('delete from items where id = $1', [known.id])
        this.#counts.deleted++
        await this.#space.delete(known.id)
      } catch {
        // A row that stays is as good as one that goes.
      }
    }
  }
}
