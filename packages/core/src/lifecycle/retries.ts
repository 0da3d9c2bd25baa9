/** Starts optional parts that have failed once more, and again, behind the service that runs without them. */

import { Events, type Timer } from '@breakwater/kernel'
import { Recorder } from '../timeline/recorder.js'
import type { LifecycleEvent } from './events.js'
import type { Part } from './part.js'
import { bringUp, type StartContext } from './start.js'
import type { Surroundings } from './step.js'

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 30_000

export class Retries {
  readonly #surroundings: Surroundings
  readonly #controller = new AbortController()
  readonly #timers = new Map<Part, Timer>()
  readonly #running = new Set<Promise<void>>()
  readonly #random: () => number
  readonly #startContext: Pick<StartContext, 'graceMs' | 'onLate'>

  constructor(
    surroundings: Surroundings,
    startContext: Pick<StartContext, 'graceMs' | 'onLate'>,
    random: () => number = Math.random,
  ) {
    this.#surroundings = surroundings
    this.#startContext = startContext
    this.#random = random
  }

  /** Begins to try `part` again, if it is degraded and nothing of it runs any more. */
  begin(part: Part): void {
    if (part.state === 'degraded' && !part.overdue) this.#schedule(part, 1)
  }

  /** Gives up. Resolves when no hook is under way that was not given up on. */
  async stop(): Promise<void> {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
    this.#controller.abort()
    await Promise.all(this.#running)
  }

  #schedule(part: Part, attempt: number): number {
    if (this.#controller.signal.aborted) return 0
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), LONGEST_PAUSE_MS) * (0.5 + this.#random() / 2)
    const run = (): void => {
      this.#timers.delete(part)
      const running = this.#attempt(part, attempt).finally(() => this.#running.delete(running))
      this.#running.add(running)
    }
    this.#timers.set(part, this.#surroundings.clock.schedule(pauseMs, run))
    return pauseMs
  }

  async #attempt(part: Part, attempt: number): Promise<void> {
    const { clock, hastened, events } = this.#surroundings
    const { signal } = this.#controller
    // The timeline and the steps are those of the start; of an hour without Redis they would be a long list of one thing.
    const own = { clock, hastened, recorder: new Recorder(clock), events: new Events<LifecycleEvent>() }
    for (const phase of ['start', 'ready'] as const) {
      // What came late is not called again.
      if (phase === 'start' ? part.isUp : part.readied) part.state = 'started'
      else await bringUp(part, phase, { ...own, ...this.#startContext, cancel: signal })
      if (part.state !== 'started' || signal.aborted) break
    }
    if (signal.aborted) return
    if (part.state === 'started') {
      part.error = undefined
      events.emit({ type: 'lifecycle.recovered', component: part.name, attempts: attempt })
      return
    }
    // What still runs tells when it is over, and is tried again then.
    const nextMs = part.overdue ? Number.POSITIVE_INFINITY : this.#schedule(part, attempt + 1)
    events.emit({ type: 'lifecycle.retry-failed', component: part.name, attempt, nextMs, error: part.error })
  }
}
