/** A wait that its caller can leave. */

import type { Clock } from '@breakwater/kernel'

/** Resolves after `ms`; rejects with the signal's reason when that is aborted. It keeps the process alive: somebody waits. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const leave = (): void => {
      timer.cancel()
      reject(signal.reason)
    }
    const pass = (): void => {
      signal.removeEventListener('abort', leave)
      resolve()
    }
    const timer = clock.schedule(ms, pass, { keepAlive: true })
    signal.addEventListener('abort', leave, { once: true })
  })
}
