/** What a check and an add cost, in CPU time: our guard in a process without Redis, and bloom-filters as it comes. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { type BoundGuard, bloomGuard, Cache } from '@breakwater/cache'
import bloomFilters from 'bloom-filters'
import type { RateOutcome } from './protocol.js'

const KEYS = 1_000_000
const ERROR_RATE = 0.01
/** bloom-filters is measured over fewer, since it is slow: its rates do not depend on how many. */
const STOCK_KEYS = 20_000
const TURN = 10_000

interface Subject {
  add(key: string): unknown
  mayContain(key: string): boolean
}

export async function measureGuard(): Promise<RateOutcome> {
  await using cache = new Cache()
  const { guard } = cache.space('row', {
    ttl: '1m',
    load: () => null,
    guard: bloomGuard({
      scan: () => [],
      expected: KEYS,
      errorRate: ERROR_RATE,
      rebuildEvery: Number.POSITIVE_INFINITY,
    }),
  })
  await cache.initGuards()
  const bound = guard as BoundGuard
  return await measure({ add: key => bound.add(key), mayContain: key => bound.mayContain(key) as boolean }, KEYS)
}

export async function measureStock(): Promise<RateOutcome> {
  const filter = bloomFilters.BloomFilter.create(STOCK_KEYS, ERROR_RATE)
  return measure({ add: key => filter.add(key), mayContain: key => filter.has(key) }, STOCK_KEYS)
}

async function measure(subject: Subject, count: number): Promise<RateOutcome> {
  const keys = Array.from({ length: count }, (_, i) => String(i * 7))
  const others = Array.from({ length: count }, (_, i) => String(i * 7 + 3))
  let passed = 0
  const adds = await perSecond(keys, key => subject.add(key))
  const existing = await perSecond(keys, key => subject.mayContain(key))
  const absent = await perSecond(others, key => {
    if (subject.mayContain(key)) passed++
  })
  return { adds, existing, absent, errorRate: passed / count }
}

async function perSecond(keys: readonly string[], operation: (key: string) => unknown): Promise<number> {
  let cpuUs = 0
  for (let from = 0; from < keys.length; from += TURN) {
    const before = process.cpuUsage()
    for (let i = from; i < Math.min(from + TURN, keys.length); i++) operation(keys[i] as string)
    const { user, system } = process.cpuUsage(before)
    cpuUs += user + system
    await nextTurn()
  }
  return (keys.length * 1e6) / cpuUs
}
