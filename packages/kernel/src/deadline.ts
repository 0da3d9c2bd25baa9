/** Durations as users write them, and the instant by which a piece of work must be over. */

import type { Clock, Timer } from './clock.js'

/** Milliseconds as a number, or a number with a unit: `250`, `'250ms'`, `'30s'`, `'5m'`, `'1h'`, `'7d'`. Never seconds as a number. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Returns the duration in ms, or `undefined` if `value` is not one (negative, NaN, an unknown unit, another type). */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return value >= 0 ? value : undefined
  if (typeof value !== 'string') return undefined
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value)
  return match ? Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS] : undefined
}

/** The instant by which something must be over, handed down through calls so that their waits add up to one bound. */
export class Deadline {
  readonly #clock: Clock
  readonly #startedAt: number
  readonly at: number

  /** @param afterMs ms from now, 0 to Infinity (never). */
  constructor(clock: Clock, afterMs: number) {
    this.#clock = clock
    this.#startedAt = clock.now()
    this.at = this.#startedAt + afterMs
  }

  /** Ms left, 0 when it has passed. */
  get remainingMs(): number {
    return Math.max(0, this.at - this.#clock.now())
  }

  /** Ms since this deadline was set. */
  get elapsedMs(): number {
    return this.#clock.now() - this.#startedAt
  }

  get expired(): boolean {
    return this.#clock.now() >= this.at
  }

  /** Returns a deadline `ms` from now, or this one's instant if that comes first. */
  within(ms: number): Deadline {
    return new Deadline(this.#clock, Math.min(ms, this.remainingMs))
  }

  /**
   * Settles as `work` does, or rejects with `onExpired()` when the deadline comes first, or with the signal's reason when
   * that is aborted first. `work` is not cancelled, and what it does later is ignored: the caller must not need its
   * result any more.
   */
  async race<T>(work: Promise<T>, onExpired: () => unknown, signal?: AbortSignal): Promise<T> {
    if (signal === undefined && this.at === Number.POSITIVE_INFINITY) return work
    let timer: Timer | undefined
    let onAbort: (() => void) | undefined
    try {
      return await new Promise<T>((resolve, reject) => {
        work.then(resolve, reject)
        if (this.at !== Number.POSITIVE_INFINITY) {
          timer = this.#clock.schedule(this.remainingMs, () => reject(onExpired()), { keepAlive: true })
        }
        if (signal === undefined) return
        onAbort = () => reject(signal.reason)
        if (signal.aborted) onAbort()
        else signal.addEventListener('abort', onAbort)
      })
    } finally {
      timer?.cancel()
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort)
    }
  }
}
