/** The way down: every part's `drain`, then every part's `stop`, in reverse; past the deadline too, then by force. */

import type { Clock, Deadline, Timer } from '@breakwater/kernel'
import { type Failure, hookRunsOn, hookTimeout, stopPostponed } from './failure.js'
import type { HookBounds, HookEnd } from './hook.js'
import type { Part } from './part.js'
import { runStep, type Surroundings, type Verdict } from './step.js'

type DownPhase = 'drain' | 'stop'

/**
 * The end of the time is kept for stopping by force, so that the deadline holds for the whole: at most this long, and at
 * most this share. Room for one exchange with a server, to cancel what runs there, and for sockets to close.
 */
const FORCE_MS = 500
const FORCE_SHARE = 0.2

/** One stop, from the first drain to the last stop. */
export class StopRun {
  readonly #surroundings: Surroundings
  readonly #clock: Clock
  readonly #force = new AbortController()
  /** When everything must be over. */
  #deadline: Deadline
  /** When waiting ends and force begins. */
  #patience: Deadline
  #timer: Timer | undefined
  /** Levels still to come, this one included, drains and stops counted apart; they share what is left when forced. */
  #roundsLeft = 0

  constructor(surroundings: Surroundings, deadline: Deadline) {
    this.#surroundings = surroundings
    this.#clock = surroundings.clock
    this.#deadline = deadline
    this.#patience = deadline
    this.#arm(deadline)
  }

  /** Makes the whole end at `deadline`, if that is earlier. */
  hasten(deadline: Deadline): void {
    if (deadline.at < this.#deadline.at) this.#arm(deadline)
  }

  /** Drains and stops what needs it, each part once in its life. Resolves with every failure; never rejects. */
  async run(levels: readonly (readonly Part[])[]): Promise<Failure[]> {
    const failures: Failure[] = []
    this.#roundsLeft = levels.length * 2
    for (const phase of ['drain', 'stop'] as const) {
      for (const level of levels) {
        await Promise.all(level.map(part => this.#takeDown(part, phase, failures)))
        this.#roundsLeft--
      }
    }
    this.#timer?.cancel()
    return failures
  }

  #arm(deadline: Deadline): void {
    const { remainingMs } = deadline
    this.#deadline = deadline
    this.#patience = deadline.within(remainingMs - Math.min(FORCE_MS, remainingMs * FORCE_SHARE))
    this.#timer?.cancel()
    const force = (): void => this.#force.abort()
    if (deadline.expired) force()
    else this.#timer = this.#clock.schedule(this.#patience.remainingMs, force, { keepAlive: true })
  }

  async #takeDown(part: Part, phase: DownPhase, failures: Failure[]): Promise<void> {
    if (part.overdue) {
      if (phase === 'drain') return
      // Stopping beside a start that still runs would free the half that is there and leak the rest.
      part.missedStop = true
      failures.push({ component: part.name, phase, elapsedMs: 0, error: stopPostponed(part.name), open: true })
      return
    }
    // Also in the round of the stops, for a part that became ready after its drain was due.
    if (part.readied) {
      part.readied = false
      await this.#call(part, 'drain', failures)
    }
    if (phase === 'stop' && part.started) {
      part.started = false
      await this.#call(part, 'stop', failures)
    }
  }

  async #call(part: Part, phase: DownPhase, failures: Failure[]): Promise<void> {
    if (part.state !== 'failed') part.state = 'stopping'
    const end = await runStep(
      part,
      phase,
      this.#bounds(part),
      (...how) => judge(part, phase, ...how),
      this.#surroundings,
    )
    if (end?.error !== undefined) {
      part.state = 'failed'
      part.error = end.error
      const { elapsedMs, error } = end
      failures.push({ component: part.name, phase, elapsedMs, error, open: end.hook.result === 'running' })
    } else if (phase === 'stop' && part.state !== 'failed') part.state = 'stopped'
  }

  #bounds(part: Part): HookBounds {
    return {
      deadline: this.#patience.within(part.stopTimeoutMs),
      cancel: this.#force.signal,
      graceMs: () => Math.min(FORCE_MS, this.#deadline.remainingMs / this.#roundsLeft),
    }
  }
}

function judge(part: Part, phase: DownPhase, { result, error }: HookEnd, elapsedMs: number): Verdict {
  if (result === 'ok') return { outcome: 'ok' }
  if (result === 'failed') return { outcome: 'failed', error }
  const ours = result === 'running' ? hookRunsOn : hookTimeout
  return { outcome: 'timeout', error: ours(part.name, phase, elapsedMs) }
}
