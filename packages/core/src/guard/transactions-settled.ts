/** Waits until every transaction has ended that was open at the call, so that a scan after it misses no row of theirs. */

import { type Clock, pause } from '@breakwater/kernel'
import type { Pool } from '@breakwater/pool'

const POLL_MS = 50
/** For an `add` that comes just before its BEGIN instead of after it. */
const GRACE_MS = 100

/**
 * Transactions of this database by their locks on themselves: each holds one from BEGIN on, also before it has a snapshot
 * or an xid, which a snapshot's xmin would not show. Prepared ones hold one of another kind, and have no backend.
 * Source: PostgreSQL, pg_locks; CREATE INDEX CONCURRENTLY waits for the same locks.
 */
const OPEN_TRANSACTIONS = `
  select array_agg(distinct l.virtualtransaction) as open
  from pg_locks l left join pg_stat_activity a on a.pid = l.pid
  where l.locktype in ('virtualxid', 'transactionid') and l.granted
    and l.pid is distinct from pg_backend_pid()
    and (l.pid is null or (a.datname = current_database() and coalesce(a.backend_type, 'client backend') = 'client backend'))`

/**
 * Resolves when every transaction of the pool's database has ended that was open at the call, the idle ones too. A
 * transaction that never ends is waited for until `signal` is aborted, and then it rejects with the signal's reason.
 */
export async function transactionsSettled(pool: Pool, clock: Clock, signal: AbortSignal): Promise<void> {
  await pause(clock, GRACE_MS, signal)
  let waited = await openTransactions(pool)
  while (waited.size > 0) {
    await pause(clock, POLL_MS, signal)
    const open = await openTransactions(pool)
    waited = new Set([...waited].filter(each => open.has(each)))
  }
}

async function openTransactions(pool: Pool): Promise<Set<string>> {
  const { rows } = await pool.query<{ open: string[] | null }>(OPEN_TRANSACTIONS)
  return new Set(rows[0]?.open ?? [])
}
