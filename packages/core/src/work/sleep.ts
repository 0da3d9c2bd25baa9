/** Waits for a while, or for less. */

import type { Clock } from '@breakwater/kernel'

/** Resolves after `ms`, or as soon as `signal` is aborted; keeps the process alive meanwhile. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const wake = (): void => {
      timer.cancel()
      signal.removeEventListener('abort', wake)
      resolve()
    }
    const timer = clock.schedule(ms, wake, { keepAlive: true })
    if (signal.aborted) wake()
    else signal.addEventListener('abort', wake)
  })
}
