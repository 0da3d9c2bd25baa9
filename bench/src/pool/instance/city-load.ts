/** Reads of cities by their primary key, as many callers at once as are asked for, or a steady stream of them. */

import { isDeepStrictEqual } from 'node:util'
import type { Id } from '../../data/entity.js'
import type { World } from '../../data/world.js'
import { type ClosedOutcome, runClosedLoop } from '../../load/closed-loop.js'
import { runOpenLoop } from '../../load/open-loop.js'
import { createRandom } from '../../load/random.js'
import { createSchedule } from '../../load/schedule.js'
import type { OpenPool } from '../contenders/contender.js'
import { machineNow } from '../machine-clock.js'
import type { QueryOrder, StreamAnswer, StreamOrder, StreamOutcome } from '../protocol.js'

/** After which even heavy libraries run as fast as they ever will. Source: found when the peers were measured. */
const WARM_UP_CPU_MS = 1_000
const WARM_UP_STEP_MS = 100
const SLEEP = 'select pg_sleep(0.05)'
const SLEPT = Symbol('slept')
/** Ms after a load's end until a missing answer counts as an error. */
const PATIENCE_MS = 10_000

export class CityLoad {
  readonly #pool: OpenPool
  readonly #world: World

  constructor(pool: OpenPool, world: World) {
    this.#pool = pool
    this.#world = world
  }

  /**
   * Runs queries until this process has spent a second of CPU time on them, and compares each row with the table's.
   * @throws {Error} if a query fails or a row is wrong: then there is nothing to measure.
   */
  async warmUp({ callers, seed }: Pick<QueryOrder, 'callers' | 'seed'>): Promise<void> {
    const check = (id: Id, row: unknown): boolean => isDeepStrictEqual(row, this.#world.byId.get(Number(id)))
    for (let cpuMs = 0; cpuMs < WARM_UP_CPU_MS; ) {
      const order = { callers, seed, purpose: `warm-up/${cpuMs}`, durationMs: WARM_UP_STEP_MS }
      const outcome = await this.#run(order, check)
      const { wrong, errors, errorMessages } = outcome
      if (wrong + errors > 0)
        throw new Error(`${wrong} rows are wrong, ${errors} failed: ${Object.keys(errorMessages)}`)
      cpuMs += outcome.cpuMs
    }
  }

  /** Compares no more than the row's id, since the CPU time for it would count as the contender's. */
  queries(order: QueryOrder): Promise<ClosedOutcome> {
    return this.#run(order, (id, row) => (row as { id?: unknown } | undefined)?.id === id)
  }

  /** Sends queries at their times, whatever becomes of them. */
  async stream({ seed, rate, durationMs }: StreamOrder): Promise<StreamOutcome> {
    const schedule = createSchedule(rate, durationMs, createRandom(seed, 'arrivals'), this.#ids(seed, 'stream'))
    const answers: StreamAnswer[] = []
    const ask = async (id: Id): Promise<unknown> => {
      const sentAt = machineNow()
      const row = await this.#pool.city(Number(id))
      answers.push({ sentAt, answeredAt: machineNow() })
      return row
    }
    const check = (id: Id, row: unknown): boolean => isDeepStrictEqual(row, this.#world.byId.get(Number(id)))
    return { ...(await runOpenLoop(schedule, { ask, check }, PATIENCE_MS)), answers }
  }

  #run(order: QueryOrder, checkRow: (id: Id, row: unknown) => boolean): Promise<ClosedOutcome> {
    const { callers, durationMs, seed, purpose, slowShare = 0 } = order
    const random = createRandom(seed, purpose, 'slow')
    const sleep = async (): Promise<typeof SLEPT> => {
      await this.#pool.query(SLEEP)
      return SLEPT
    }
    const target = {
      ask: (id: Id) => (slowShare > 0 && random() < slowShare ? sleep() : this.#pool.city(Number(id))),
      check: (id: Id, answer: unknown) => answer === SLEPT || checkRow(id, answer),
      isTimed: (answer: unknown) => answer !== SLEPT,
    }
    return runClosedLoop({ callers, durationMs, nextId: this.#ids(seed, purpose) }, target, PATIENCE_MS)
  }

  /** Every city is as likely as any other, so that no cache but the database's own pages helps. */
  #ids(seed: number, purpose: string): () => Id {
    const { cities } = this.#world
    const random = createRandom(seed, purpose, 'ids')
    return () => cities[Math.floor(random() * cities.length)]?.id ?? 0
  }
}
