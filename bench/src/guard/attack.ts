/** An attack with ids that do not exist, beside the same load on ids that do: how many are answered, what the database sees, what the process keeps. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Space } from '@breakwater/cache'
import { runClosedLoop } from '../load/closed-loop.js'
import type { AttackOutcome } from './protocol.js'

const CALLERS = 64
const PATIENCE_MS = 15_000
/** Read again and again, from memory after the first time. */
const WARM = 5_000

export interface Attacked {
  readonly space: Space<object, string>
  /** Existing ids are the multiples of it, from 1 to `rows` times. */
  readonly step: number
  readonly rows: number
}

export async function attack({ space, step, rows }: Attacked, durationMs: number): Promise<AttackOutcome> {
  const load = async (nextId: () => string, isThere: boolean): Promise<number> => {
    const target = {
      ask: (id: string | number) => space.get(String(id)),
      check: (_: unknown, answer: unknown) => (answer !== null) === isThere,
    }
    const { answered, wrong, errors, elapsedMs } = await runClosedLoop(
      { callers: CALLERS, durationMs, nextId },
      target,
      PATIENCE_MS,
    )
    if (wrong + errors > 0) throw new Error(`${wrong} wrong answers and ${errors} errors`)
    return (answered * 1_000) / elapsedMs
  }
  const existing = (among: number): string => String(step * (1 + Math.floor(Math.random() * among)))
  const warm = await load(() => existing(WARM), true)
  const spread = await load(() => existing(rows), true)
  const { loads } = space.stats
  const heapBefore = heapBytes()
  let distinct = 0
  const startedAt = performance.now()
  // Each once, and none of them there.
  const absent = await load(() => String(step * ++distinct + 1), false)
  const seconds = (performance.now() - startedAt) / 1_000
  const queries = space.stats.loads - loads
  return {
    absent,
    existing: spread,
    warm,
    distinct,
    databaseQps: queries / seconds,
    beyondErrorRateQps: Math.max(0, queries - (await falsePositives(space, step, distinct))) / seconds,
    heapGrowthBytes: heapBytes() - heapBefore,
  }
}

/** How many of the ids the filter takes for existing ones, by its nature: each of these is read once. */
async function falsePositives({ guard }: Attacked['space'], step: number, distinct: number): Promise<number> {
  let count = 0
  for (let n = 1; n <= distinct; n++) if (await guard?.mayContain(String(step * n + 1))) count++
  return count
}

/** What is held for certain. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed
}
