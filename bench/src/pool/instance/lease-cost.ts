/** What one acquire and release costs the process, in CPU time: the machine's other work does not count, nor does waiting. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Lender } from '../contenders/contender.js'

export interface LeaseOrder {
  /** 1 for an idle resource at each acquire; more than the pool has for waiting. */
  readonly callers: number
  /** Ms of CPU time to spend, at least. */
  readonly cpuMs: number
}

export interface LeaseOutcome {
  readonly leases: number
  /** CPU time of the whole process for one lease. */
  readonly cpuNs: number
}

/**
 * Leases in one turn of the event loop. Without turns nothing that has to do with timers would run, and what a pool does
 * with them would be missing, or pile up.
 */
const LEASES_A_TURN = 1_000
/** So that a caller costs little against its leases. */
const LEAST_LEASES_A_CALLER = 10

/** Has all callers begin at once, again and again; each gives back what it gets at once, and acquires again. */
export async function measureLeases(lender: Lender, { callers, cpuMs }: LeaseOrder): Promise<LeaseOutcome> {
  const times = Math.max(LEAST_LEASES_A_CALLER, LEASES_A_TURN / callers)
  const before = process.cpuUsage()
  for (let leases = 0; ; ) {
    await Promise.all(Array.from({ length: callers }, () => leaseInARow(lender, times)))
    leases += callers * times
    await nextTurn()
    const { user, system } = process.cpuUsage(before)
    const cpuUs = user + system
    if (cpuUs >= cpuMs * 1_000) return { leases, cpuNs: (cpuUs * 1_000) / leases }
  }
}

async function leaseInARow(lender: Lender, times: number): Promise<void> {
  for (let i = 0; i < times; i++) lender.release(await lender.acquire())
}
