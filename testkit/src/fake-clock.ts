/** A clock that stands still until the test moves it. */

import type { Clock, Timer } from '@breakwater/kernel'

/** So many timers in one `advance` are a loop that schedules itself without end. */
const STORM = 100_000

interface Entry {
  readonly at: number
  readonly fn: () => void
}

export class FakeClock implements Clock {
  #now: number
  /** In the order in which they were scheduled, so that equal instants fire in that order. */
  readonly #timers = new Set<Entry>()

  /** @param startMs the first instant; not 0, which code may take for "never". */
  constructor(startMs = 1_000) {
    this.#now = startMs
  }

  /** Timers that have neither run nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#now
  }

  coarse(): number {
    return this.#now
  }

  schedule(delayMs: number, fn: () => void): Timer {
    const entry = { at: this.#now + delayMs, fn }
    this.#timers.add(entry)
    return { cancel: () => void this.#timers.delete(entry) }
  }

  /**
   * Moves time on by `ms`, and runs each timer that falls due at its own instant, those scheduled meanwhile too. Before
   * the first and after each, whatever was waiting for promises gets to run. Rejects with what a timer throws.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settlePromises()
    for (let fired = 0; ; fired++) {
      const next = this.#nextUntil(end)
      if (!next) break
      if (fired === STORM)
        throw new Error(`${STORM} timers fired within ${ms} ms: something schedules itself without end`)
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.fn()
      await settlePromises()
    }
    this.#now = end
  }

  #nextUntil(end: number): Entry | undefined {
    let next: Entry | undefined
    for (const entry of this.#timers) {
      if (entry.at <= end && (next === undefined || entry.at < next.at)) next = entry
    }
    return next
  }
}

/** Resolves when every promise callback that can run has run. */
function settlePromises(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
