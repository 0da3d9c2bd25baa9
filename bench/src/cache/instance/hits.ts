/** Reads of what is there: in memory by CPU time, in Redis by throughput and CPU time. */

import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { OpenCache } from '../contenders/contender.js'
import type { HitOrder, HitOutcome } from '../protocol.js'

/** Between two turns of the event loop, without which nothing that has to do with timers would run. */
const HITS_A_TURN = 1_000
const HOT_KEYS = 100
/** After which what was loaded is stored. */
const STORED_AFTER_MS = 50

export async function measureHits(cache: OpenCache, prefix: string, order: HitOrder): Promise<HitOutcome> {
  const { keys: count, callers, durationMs, many = 1 } = order
  const keys = keysOf(count, prefix)
  const read = cache.getMany
  await Promise.all(keys.map(key => cache.get(key)))
  // Some caches store behind their callers; a loop of those would leave the event loop no turn to hear that it was done.
  await sleep(STORED_AFTER_MS)
  let next = 0
  let hits = 0
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  const call = async (): Promise<void> => {
    while (performance.now() - startedAt < durationMs) {
      if (many === 1) {
        await cache.get(keys[next++ % count] as string)
      } else {
        const wanted = Array.from({ length: many }, () => keys[next++ % count] as string)
        await (read ? read(wanted) : Promise.all(wanted.map(key => cache.get(key))))
      }
      hits += many
    }
  }
  await Promise.all(Array.from({ length: callers }, call))
  const elapsedMs = performance.now() - startedAt
  const { user, system } = process.cpuUsage(cpuBefore)
  return { hits, elapsedMs, cpuMs: (user + system) / 1_000 }
}

/** Returns nanoseconds of CPU time for one hit in memory. */
export async function measureMemoryHits(cache: OpenCache, cpuMs: number, peek: boolean): Promise<number> {
  const keys = keysOf(HOT_KEYS)
  await Promise.all(keys.map(key => cache.get(key)))
  const look = cache.peek
  if (peek && look === undefined) throw new Error('it does not look into memory without a promise')
  const before = process.cpuUsage()
  for (let hits = 0; ; ) {
    if (peek && look) for (let i = 0; i < HITS_A_TURN; i++) look(keys[i % HOT_KEYS] as string)
    else for (let i = 0; i < HITS_A_TURN; i++) await cache.get(keys[i % HOT_KEYS] as string)
    hits += HITS_A_TURN
    await nextTurn()
    const { user, system } = process.cpuUsage(before)
    if (user + system >= cpuMs * 1_000) return ((user + system) * 1_000) / hits
  }
}

/** Returns bytes of heap for one entry, once nothing but entries is left. */
export async function measureBytesHeld(cache: OpenCache, entries: number): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const keys = Array.from({ length: entries }, (_, i) => `held-${i}`)
  const used = async (): Promise<number> => {
    for (let i = 0; i < 3; i++) {
      await nextTurn()
      collect()
    }
    return process.memoryUsage().heapUsed
  }
  const before = await used()
  for (let i = 0; i < entries; i += 100) await Promise.all(keys.slice(i, i + 100).map(key => cache.get(key)))
  return ((await used()) - before) / entries
}

function keysOf(count: number, prefix = 'key'): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}-${i}`)
}
