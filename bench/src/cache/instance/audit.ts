/** Readers and writers of a few keys: what was read and when it was asked for, what was written and when that was done. */

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRandom } from '../../load/random.js'
import { machineNow } from '../../pool/machine-clock.js'
import type { OpenCache } from '../contenders/contender.js'
import type { AuditOrder, AuditOutcome } from '../protocol.js'
import type { CountedSource } from './source.js'

const READ_EVERY_MS = 2
const WRITE_EVERY_MS = 8
const WATCH_EVERY_MS = 10

export async function audit(cache: OpenCache, source: CountedSource, order: AuditOrder): Promise<AuditOutcome> {
  const { seed, instance, keys, readers, writers, durationMs } = order
  const reads: [number, number, number][] = []
  const writes: [number, number, number][] = []
  let errors = 0
  const random = createRandom(seed, 'audit', instance)
  const delays = monitorEventLoopDelay({ resolution: WATCH_EVERY_MS })
  delays.enable()
  const endAt = machineNow() + durationMs
  const repeat = async (everyMs: number, act: (key: number) => Promise<void>): Promise<void> => {
    while (machineNow() < endAt) {
      await act(Math.floor(random() * keys)).catch(() => {
        errors++
      })
      await sleep(everyMs * (0.5 + random()))
    }
  }
  const read = async (key: number): Promise<void> => {
    const askedAt = machineNow()
    reads.push([key, Number(await cache.get(`audit-${key}`)), askedAt])
  }
  const write = async (key: number): Promise<void> => {
    const version = await source.write(`audit-${key}`)
    await cache.invalidate(`audit-${key}`)
    writes.push([key, version, machineNow()])
  }
  await Promise.all([
    ...Array.from({ length: readers }, () => repeat(READ_EVERY_MS, read)),
    ...Array.from({ length: writers }, () => repeat(WRITE_EVERY_MS, write)),
  ])
  delays.disable()
  // What it counts is from one look to the next.
  return { reads, writes, errors, stoodStillMs: Math.max(0, delays.max / 1e6 - WATCH_EVERY_MS) }
}
