/**
 * Random mixes on a real server: queries, errors, callers who go, cursors, transactions, killed backends and connections
 * that are cut while answers are on the way, through lanes.
 * Every result belongs to its query, every promise settles, every acknowledged write is there once, no transaction leaks.
 */

import { eventually, type FaultProxy, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import fc from 'fast-check'
import { expect, it, onTestFinished } from 'vitest'
import { leisurelyClock } from '../../test/leisurely-clock.js'
import { usePool } from '../../test/pool-kit.js'
import { learn, ROW, row, useSquares } from '../../test/sharing-kit.js'
import type { Pool } from '../pool.js'

const database = useSquares()
const INSERT = 'insert into effects values ($1)'
const DIVIDE = 'select $1::int / $2::int as result'
const RUN_MS = 15_000

/** What became of a write. */
type Fate = 'done' | 'not done' | 'unknown'

class Mix {
  readonly pool: Pool
  readonly #proxy: FaultProxy
  readonly fates = new Map<number, Fate>()
  readonly wrong: string[] = []
  static #ids = 0

  constructor(pool: Pool, proxy: FaultProxy) {
    this.pool = pool
    this.#proxy = proxy
  }

  async read(n: number): Promise<void> {
    await this.#lost(async () => this.#same(await row(this.pool, n), { n, square: n * n }))
  }

  async divide(n: number): Promise<void> {
    await this.#lost(async () => {
      const asked = this.pool.query(DIVIDE, [n * 2, n % 2 === 0 ? 2 : 0])
      const outcome = await asked.then(
        ({ rows }) => rows[0],
        error => {
          if (error.code === '22012') return 'by zero'
          throw error
        },
      )
      this.#same(outcome, n % 2 === 0 ? { result: n } : 'by zero')
    })
  }

  async write(): Promise<void> {
    const id = ++Mix.#ids
    this.fates.set(id, 'unknown')
    await this.#lost(async () => {
      try {
        await this.pool.query(INSERT, [id])
        this.fates.set(id, 'done')
      } catch (error) {
        if ((error as { mayHaveRun?: boolean }).mayHaveRun === false) this.fates.set(id, 'not done')
        throw error
      }
    })
  }

  async leave(n: number): Promise<void> {
    const controller = new AbortController()
    const query = this.pool.query({ text: ROW, values: [n], signal: controller.signal })
    setTimeout(() => controller.abort('left'), n % 5)
    await this.#lost(async () => {
      const outcome = await query.catch(error => {
        if (error === 'left') return error
        throw error
      })
      if (outcome !== 'left') this.#same(outcome.rows[0], { n, square: n * n })
    })
  }

  async transaction(n: number): Promise<void> {
    await this.#lost(async () => {
      const client = await this.pool.connect()
      const id = ++Mix.#ids
      this.fates.set(id, 'unknown')
      try {
        await client.query('begin')
        await client.query(INSERT, [id])
        this.#same((await client.query(ROW, [n])).rows, [{ n, square: n * n }])
        if (n % 3 === 0) return
        await client.query(n % 3 === 1 ? 'commit' : 'rollback')
        this.fates.set(id, n % 3 === 1 ? 'done' : 'not done')
      } finally {
        client.release()
      }
    })
  }

  async cursor(): Promise<void> {
    await this.#lost(async () => {
      const client = await this.pool.connect()
      try {
        const inPortions = { text: 'select n from squares where n < 6 order by n', rows: 2 }
        this.#same((await client.query(inPortions)).rows, [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }, { n: 5 }])
      } finally {
        client.release()
      }
    })
  }

  async kill(): Promise<void> {
    // One that kills may itself be killed by another.
    await this.#lost(async () => {
      const [pid] = await database.backends()
      if (pid !== undefined) await database.killBackends([pid])
    })
  }

  async cut(): Promise<void> {
    this.#proxy.cut()
  }

  /** Runs what may lose its connection, which is nobody's fault here; any other failure is. */
  async #lost(work: () => Promise<void>): Promise<void> {
    await work().catch(error => {
      const { code, message } = error as { code?: string; message: string }
      const isOfTheKill =
        code === '57P01' || code === 'ECONNRESET' || code === 'EPIPE' || /terminated|not queryable/.test(message)
      if (!isOfTheKill) this.wrong.push(`${code} ${message}`)
    })
  }

  #same(found: unknown, wanted: unknown): void {
    if (JSON.stringify(found) !== JSON.stringify(wanted)) {
      this.wrong.push(`${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`)
    }
  }
}

const step = fc.oneof(
  { weight: 8, arbitrary: fc.constant('read' as const) },
  { weight: 3, arbitrary: fc.constant('divide' as const) },
  { weight: 5, arbitrary: fc.constant('write' as const) },
  { weight: 2, arbitrary: fc.constant('leave' as const) },
  { weight: 2, arbitrary: fc.constant('transaction' as const) },
  { weight: 1, arbitrary: fc.constant('cursor' as const) },
  { weight: 1, arbitrary: fc.constant('kill' as const) },
  { weight: 1, arbitrary: fc.constant('cut' as const) },
  { weight: 2, arbitrary: fc.constant('pause' as const) },
)

it('keeps its promises in any mix', { timeout: 120_000 }, async () => {
  await database.stockPool().query('create table effects (id int)')
  const steps = fc.array(fc.tuple(step, fc.integer({ min: 1, max: 600 })), { minLength: 30, maxLength: 150 })
  const proxy = await startProxy(testPostgres())
  onTestFinished(() => proxy.close())
  const property = fc.asyncProperty(steps, fc.integer({ min: 1, max: 4 }), async (steps, max) => {
    const pool = usePool({ connectionString: proxy.url(database.url), max, clock: leisurelyClock })
    pool.on('error', () => undefined)
    await learn(pool, { text: ROW, values: [1] }, { text: DIVIDE, values: [4, 2] }, { text: INSERT, values: [0] })
    // So that what is cut has often run.
    proxy.setLatency(6)
    const mix = new Mix(pool, proxy)
    const under: Promise<void>[] = []
    for (const [name, n] of steps) {
      if (name === 'pause') await new Promise(resolve => setTimeout(resolve, n % 4))
      else under.push(mix[name](n))
    }
    let isOver = false
    void Promise.allSettled(under).then(() => {
      isOver = true
    })
    await eventually(() => isOver, RUN_MS)
    await Promise.all(under)
    expect(mix.wrong).toEqual([])
    await eventually(() =>
      expect(pool.stats()).toMatchObject({ leased: 0, pending: 0, lanes: { open: 0, running: 0 } }),
    )
    proxy.setLatency(0)
    await pool.dispose()
    await expectFates(mix.fates)
  })
  await fc.assert(property, { numRuns: 15, endOnFailure: true })
})

async function expectFates(fates: Map<number, Fate>): Promise<void> {
  const { rows } = await database.stockPool().query('select id, count(*)::int as count from effects group by id')
  const counts = new Map<number, number>(rows.map(({ id, count }) => [id, count]))
  for (const [id, fate] of fates) {
    const count = counts.get(id) ?? 0
    if (fate === 'unknown') expect(count).toBeLessThanOrEqual(1)
    else expect(count).toBe(fate === 'done' ? 1 : 0)
  }
}
