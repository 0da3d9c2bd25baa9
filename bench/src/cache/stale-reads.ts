/** Sets what all processes read against what all of them wrote. */

import type { AuditOutcome } from './protocol.js'

/** How long after its acknowledgement an invalidation may still be on its way to the other instances. */
const DELIVERY_MS = 50

/** Returns how many reads returned an older version than one whose invalidation was done `DELIVERY_MS` before they were asked for. */
export function countStale(outcomes: readonly Pick<AuditOutcome, 'reads' | 'writes'>[]): number {
  const doneByKey = new Map<number, { readonly doneAt: number; readonly newest: number }[]>()
  const writes = outcomes.flatMap(outcome => outcome.writes).sort(([, , a], [, , b]) => a - b)
  for (const [key, version, doneAt] of writes) {
    const done = doneByKey.get(key) ?? []
    // Two writers may be done in another order than they wrote.
    done.push({ doneAt, newest: Math.max(version, done.at(-1)?.newest ?? 0) })
    doneByKey.set(key, done)
  }
  let stale = 0
  for (const { reads } of outcomes) {
    for (const [key, version, askedAt] of reads) {
      const done = doneByKey.get(key)?.findLast(({ doneAt }) => doneAt <= askedAt - DELIVERY_MS)
      if (done !== undefined && version < done.newest) stale++
    }
  }
  return stale
}
