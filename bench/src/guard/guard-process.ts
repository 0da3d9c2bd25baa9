/** The program that is forked to build, fetch and ask a guard. */

import { bloomGuard, Cache, type Space } from '@breakwater/cache'
import { createDataAccess, type DataAccess } from '@breakwater/core'
import { CONNECTIONS } from '../contenders/contender.js'
import { answerCalls } from '../process/answer-calls.js'
import { attack } from './attack.js'
import { BlockMeter } from './block-meter.js'
import { type FillOutcome, type GuardCalls, STEP } from './protocol.js'
import { measureGuard, measureStock } from './rates.js'

const EXPECTED = 1_000_000
const ERROR_RATE = 0.01
/** Rows of a page of the scan: what the driver reads of it in one piece. */
const PAGE = 1_000
const WARM_UP_KEYS = 100_000
const SELECT = 'select id from guarded where id = $1'

let data: DataAccess | undefined
let space: Space<object, string> | undefined

async function* ids({ pool }: DataAccess): AsyncGenerator<string> {
  let last = '-1'
  for (;;) {
    const { rows } = await pool.query<{ id: string }>('select id from guarded where id > $1 order by id limit $2', [
      last,
      PAGE,
    ])
    for (const { id } of rows) yield id
    if (rows.length < PAGE) return
    last = rows.at(-1)?.id ?? last
  }
}

async function fill(opened: DataAccess): Promise<FillOutcome> {
  const { cache } = opened
  space = cache.space<object, string>('row', {
    ttl: '1m',
    load: async id => (await opened.pool.query<object>(SELECT, [id])).rows[0] ?? null,
    guard: bloomGuard({ scan: () => ids(opened), expected: EXPECTED, errorRate: ERROR_RATE }),
  })
  const meter = new BlockMeter()
  const startedAt = performance.now()
  await cache.initGuards()
  const ms = performance.now() - startedAt
  const measured = meter.stop()
  const { entries = 0, builds = 0, bits = 0, errorRate = 0 } = space.guard?.stats ?? {}
  return { ms, entries, builds, ...measured, bitsPerKey: bits / entries, expectedErrorRate: errorRate }
}

/** Fills a filter that nobody needs. */
async function warmUp(opened: DataAccess): Promise<void> {
  async function* some(): AsyncGenerator<string> {
    let left = WARM_UP_KEYS
    for await (const id of ids(opened))
      if (left-- > 0) yield id
      else return
  }
  await using cache = new Cache()
  cache.space('warm-up', { ttl: '1m', load: () => null, guard: bloomGuard({ scan: some, expected: WARM_UP_KEYS }) })
  await cache.initGuards()
}

answerCalls<GuardCalls>({
  async open({ postgresUrl, redisUrl, namespace }) {
    data = createDataAccess({
      postgres: { connectionString: postgresUrl, max: CONNECTIONS, min: CONNECTIONS },
      redis: { url: redisUrl },
      cache: { namespace },
    })
    await data.init()
    // What is loaded and compiled the first time is no part of a fill.
    await warmUp(data)
  },
  async fill() {
    if (data === undefined) throw new Error('called before it was opened')
    return fill(data)
  },
  async attack(durationMs) {
    if (space === undefined) throw new Error('called before it was filled')
    return attack({ space, step: STEP, rows: EXPECTED }, durationMs)
  },
  async rates() {
    return { guard: await measureGuard(), stock: await measureStock() }
  },
  async close() {
    await data?.dispose()
  },
})
