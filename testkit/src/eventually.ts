/** Waits for what another process or the event loop will make true, as long as it takes and no longer. */

import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 10

/**
 * Calls `check` until it neither throws, rejects nor returns `false`.
 * @param timeoutMs default 5,000; then rejects with the last failure.
 */
export async function eventually(check: () => unknown, timeoutMs = 5_000): Promise<void> {
  const until = performance.now() + timeoutMs
  for (;;) {
    try {
      if ((await check()) !== false) return
      if (performance.now() >= until) throw new Error(`still false after ${timeoutMs} ms: ${check}`)
    } catch (error) {
      if (performance.now() >= until) throw error
    }
    await sleep(POLL_MS)
  }
}
