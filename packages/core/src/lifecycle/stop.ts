/** The way down, phase by phase, to the last hook of the last part; past the deadline too, then by force. */

import type { Clock, Deadline, Timer } from '@breakwater/kernel'
import type { HookPhase } from '../timeline/record.js'
import type { InFlight } from '../work/in-flight.js'
import type { WorkList } from '../work/work-list.js'
import { CONSUMER_HOOKS } from './component.js'
import { type Failure, hookRunsOn, hookTimeout, reasonOf, stopPostponed, workLeft } from './failure.js'
import type { HookBounds, HookEnd } from './hook.js'
import type { Part } from './part.js'
import { runStep, type Surroundings, type Verdict } from './step.js'

type Levels = readonly (readonly Part[])[]
type DownPhase = Exclude<HookPhase, 'start' | 'ready'>

/**
 * The end of the time is kept for stopping by force, so that the deadline holds for the whole: at most this long, and at
 * most this share. Room for one exchange with a server, to cancel what runs there, and for sockets to close.
 */
export const FORCE_MS = 500
const FORCE_SHARE = 0.2

/** What the stop of a whole service waits for beside its parts. */
export interface StopWaits {
  readonly inFlight: InFlight
  /** Resolves when nobody sends work any more, or when `signal` is aborted; undefined if there is nothing to wait for. */
  delay?(signal: AbortSignal, budgetMs: number): Promise<void> | undefined
}

/** One stop, from the first wait to the last hook. */
export class StopRun {
  readonly #surroundings: Surroundings
  readonly #clock: Clock
  readonly #waits: StopWaits | undefined
  readonly #onForced: () => void
  readonly #force = new AbortController()
  readonly #failures: Failure[] = []
  /** When everything must be over. */
  #deadline: Deadline
  /** When waiting ends and force begins. */
  #patience: Deadline
  #timer: Timer | undefined
  /** Rounds of hooks still to come, this one included; they share what is left when forced. */
  #roundsLeft = 0

  /** @param waits none for a part that is stopped by itself, behind the others. */
  constructor(surroundings: Surroundings, deadline: Deadline, waits?: StopWaits, onForced: () => void = () => {}) {
    this.#surroundings = surroundings
    this.#clock = surroundings.clock
    this.#waits = waits
    this.#onForced = onForced
    this.#deadline = deadline
    this.#patience = deadline
    this.#arm(deadline)
  }

  /** Whether the time to wait in peace is over. */
  get isForced(): boolean {
    return this.#force.signal.aborted
  }

  /** Makes the whole end at `deadline`, if that is earlier. */
  hasten(deadline: Deadline): void {
    if (deadline.at < this.#deadline.at) this.#arm(deadline)
  }

  /** Waits for nothing any more. */
  force(): void {
    if (!this.isForced) this.#beginForce()
  }

  /** Takes everything down, each part once in its life. Resolves with every failure; never rejects. */
  async run(levels: Levels): Promise<readonly Failure[]> {
    const consumers = levels.flat().filter(part => part.isConsumer)
    this.#roundsLeft = levels.length * 2 + (consumers.length > 0 ? CONSUMER_HOOKS.length : 0)
    if (this.#waits === undefined) await this.#closeIntake(levels)
    else await this.#letWorkEnd(levels, consumers, this.#waits)
    await this.#eachLevel(levels, part => this.#stop(part))
    this.#timer?.cancel()
    return this.#failures
  }

  /** All that happens while every part is whole. */
  async #letWorkEnd(levels: Levels, consumers: readonly Part[], { inFlight, delay }: StopWaits): Promise<void> {
    await this.#waitForQuiet(delay?.(this.#force.signal, this.#patience.remainingMs))
    inFlight.closeToOutside()
    await this.#closeIntake(levels)
    const requestsOver = this.#waitFor('in-flight', inFlight.foreground)
    // A request that is stuck should not use up the time in which consumers could still commit.
    if (consumers.length > 0) await this.#atMostHalf(requestsOver)
    await Promise.all(consumers.map(part => this.#endConsumer(part)))
    if (consumers.length > 0) this.#roundsLeft -= CONSUMER_HOOKS.length
    await Promise.all([requestsOver, this.#waitFor('background', inFlight.background)])
    inFlight.close()
  }

  #closeIntake(levels: Levels): Promise<void> {
    return this.#eachLevel(levels, part => (part.isConsumer ? undefined : this.#drain(part)))
  }

  async #eachLevel(levels: Levels, takeDown: (part: Part) => Promise<void> | undefined): Promise<void> {
    for (const level of levels) {
      await Promise.all(level.map(takeDown))
      this.#roundsLeft--
    }
  }

  #arm(deadline: Deadline): void {
    const { remainingMs } = deadline
    this.#deadline = deadline
    this.#patience = deadline.within(remainingMs - Math.min(FORCE_MS, remainingMs * FORCE_SHARE))
    this.#timer?.cancel()
    if (this.isForced) return
    if (deadline.expired) this.#beginForce()
    else this.#timer = this.#clock.schedule(this.#patience.remainingMs, () => this.#beginForce(), { keepAlive: true })
  }

  #beginForce(): void {
    this.#timer?.cancel()
    // Before anything is told to let go: what is left now is what was not over in time.
    this.#onForced()
    this.#waits?.inFlight.force()
    this.#force.abort()
  }

  async #drain(part: Part): Promise<void> {
    if (part.overdue || !part.readied) return
    part.readied = false
    await this.#call(part, 'drain')
  }

  async #endConsumer(part: Part): Promise<void> {
    if (part.overdue || !part.readied) return
    part.readied = false
    for (const hook of CONSUMER_HOOKS) await this.#call(part, hook)
  }

  async #stop(part: Part): Promise<void> {
    if (part.overdue) {
      // Stopping beside a start that still runs would free the half that is there and leak the rest.
      part.missedStop = true
      this.#fail(part.name, 'stop', 0, stopPostponed(part.name), true)
      return
    }
    // A part that became ready after its turn had come.
    await (part.isConsumer ? this.#endConsumer(part) : this.#drain(part))
    if (!part.started) return
    part.started = false
    await this.#call(part, 'stop')
  }

  async #call(part: Part, phase: DownPhase): Promise<void> {
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
      this.#fail(part.name, phase, end.elapsedMs, end.error, end.hook.result === 'running')
    } else if (phase === 'stop' && part.state !== 'failed') part.state = 'stopped'
  }

  #fail(component: string, phase: Failure['phase'], elapsedMs: number, error: unknown, open: boolean): void {
    this.#failures.push({ component, phase, elapsedMs, error, open })
  }

  #bounds(part: Part): HookBounds {
    return {
      deadline: this.#patience.within(part.stopTimeoutMs),
      cancel: this.#force.signal,
      graceMs: () => Math.min(FORCE_MS, this.#deadline.remainingMs / this.#roundsLeft),
    }
  }

  async #waitForQuiet(quiet: Promise<void> | undefined): Promise<void> {
    if (quiet === undefined) return
    const { recorder, events } = this.#surroundings
    const begun = recorder.begin('drain-delay', 'wait')
    await quiet
    events.emit({ type: 'lifecycle.step', step: begun.end(this.isForced ? 'aborted' : 'ok') })
  }

  /** Resolves when all of `work` is over, or force begins. */
  async #waitFor(name: string, work: WorkList): Promise<void> {
    if (work.size === 0) return
    const { recorder, events } = this.#surroundings
    const begun = recorder.begin(name, 'wait')
    const { signal } = this.#force
    let onForce = (): void => {}
    const forced = new Promise<void>(resolve => {
      onForce = resolve
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', onForce)
    })
    await Promise.race([work.idle(), forced])
    signal.removeEventListener('abort', onForce)
    if (work.size === 0) {
      events.emit({ type: 'lifecycle.step', step: begun.end('ok') })
      return
    }
    const error = workLeft(name, work.left())
    const step = begun.end('timeout', reasonOf(error))
    this.#fail(name, 'wait', step.durationMs, error, true)
    events.emit({ type: 'lifecycle.step', step, error })
  }

  /** Resolves as `work` does, but at half of the time that is left. */
  async #atMostHalf(work: Promise<void>): Promise<void> {
    let timer: Timer | undefined
    const half = new Promise<void>(resolve => {
      timer = this.#clock.schedule(this.#patience.remainingMs / 2, resolve, { keepAlive: true })
    })
    await Promise.race([work, half])
    timer?.cancel()
  }
}

function judge(part: Part, phase: DownPhase, { result, error }: HookEnd, elapsedMs: number): Verdict {
  if (result === 'ok') return { outcome: 'ok' }
  if (result === 'failed') return { outcome: 'failed', error }
  const ours = result === 'running' ? hookRunsOn : hookTimeout
  return { outcome: 'timeout', error: ours(part.name, phase, elapsedMs) }
}
