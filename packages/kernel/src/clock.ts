/**
 * Time as Breakwater sees it: every wait, age and expiry goes through a `Clock`, so that a test can own time.
 * All instants are milliseconds of one process's monotonic clock; none may be compared between processes.
 */

/** A scheduled call. */
export interface Timer {
  /** Cancels the call if it has not run yet; may be called any number of times. */
  cancel(): void
}

export interface Clock {
  /** Returns the present instant in ms; never goes backwards. */
  now(): number
  /** Returns an instant at most about 10 ms old, for a fifth of the price of `now()`; meant for expiry checks on a hit. */
  coarse(): number
  /**
   * Calls `fn` once, `delayMs` from now at the earliest (0 to any length; a delay past 24.8 days is kept too).
   * The timer keeps the process alive only with `keepAlive`.
   */
  schedule(delayMs: number, fn: () => void, options?: { keepAlive?: boolean }): Timer
}

const COARSE_STEP_MS = 10
/** Node fires a longer timer at once. Source: Node's docs, `setTimeout`. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1

class SystemTimer implements Timer {
  #handle: NodeJS.Timeout | undefined

  constructor(delayMs: number, fn: () => void, keepAlive: boolean) {
    this.#arm(delayMs, fn, keepAlive)
  }

  #arm(delayMs: number, fn: () => void, keepAlive: boolean): void {
    const step = Math.min(delayMs, LONGEST_TIMEOUT_MS)
    this.#handle = setTimeout(() => {
      if (delayMs > step) this.#arm(delayMs - step, fn, keepAlive)
      else fn()
    }, step)
    if (!keepAlive) this.#handle.unref()
  }

  cancel(): void {
    clearTimeout(this.#handle)
  }
}

class SystemClock implements Clock {
  /** 0 while no coarse reading is held; the timer that ends one runs only while the clock is in use. */
  #coarse = 0
  readonly #forget = (): void => {
    this.#coarse = 0
  }

  now(): number {
    return performance.now()
  }

  coarse(): number {
    if (this.#coarse === 0) {
      this.#coarse = performance.now()
      setTimeout(this.#forget, COARSE_STEP_MS).unref()
    }
    return this.#coarse
  }

  schedule(delayMs: number, fn: () => void, options?: { keepAlive?: boolean }): Timer {
    return new SystemTimer(delayMs, fn, options?.keepAlive === true)
  }
}

/** The process's own clock. */
export const systemClock: Clock = new SystemClock()

/** Resolves `ms` from now; rejects with the signal's reason when that is aborted first. Keeps no process alive. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const onAbort = (): void => {
      timer.cancel()
      reject(signal.reason)
    }
    const timer = clock.schedule(ms, () => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
