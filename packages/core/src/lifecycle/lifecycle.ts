/**
 * One start and one stop for many components: everything up or nothing, and nothing left behind.
 *
 *    init()  |                                                          ^  dispose()
 *            v                                                          |
 *    level 1   start postgres, start redis          stop postgres, stop redis
 *    level 2   start cache                          stop cache
 *    level 3   start orders, start http             stop orders, stop http
 *              ---- everything can be used ----     ---- nothing is under way any more ----
 *    level 1   ready ...                            drain ...
 *    level 2   ready ...                            drain ...
 *    level 3   ready http: listen                   drain http: close, finish the requests
 *            |                                                          ^
 *            +------------------- work comes in ------------------------+
 *
 * A component says what it needs (`dependsOn`), and that alone makes the order. Hooks pair up: `start` with `stop`,
 * `ready` with `drain`. Work from outside begins only when every part is up, and has ended before the first part goes:
 * a request in flight never meets a closed pool, the commonest fault of hand-written shutdowns [1].
 *
 * The rules, and the failure that each prevents:
 *
 *  - A failure on the way up calls the start off: the siblings' signal is aborted, they are waited for (bounded), and
 *    whatever had started is stopped in reverse. The error has every failure, the first as its `cause`.
 *  - A hook that passes its deadline is not forgotten. fx gives a start that was still running at the time-out no stop
 *    hook [2]; here, when such a start succeeds after all, the part is stopped then. `stop` never runs beside `start`.
 *  - On the way down every hook is called, whatever the others did. Time is one budget, handed down: a hook has the
 *    lesser of its own time-out and what is left, so that ten parts of 20 s each do not add up to 200 [3].
 *  - Past the deadline the rest is called with a signal that is aborted already, and so stops by force, where fx skips
 *    the rest and drops their errors [4]. The last part of the budget is kept for this, so the deadline itself holds.
 *  - A part is stopped once in its life, whoever asks: a failed start, dispose(), several of them, or its own lateness.
 *
 * Who waits for whom. init() and dispose() are each one promise, shared by all callers. The two take turns under one
 * mutex; dispose() during a start first calls the start off, so that its turn comes soon, and the start then leaves
 * the stopping to it. A later dispose() with an earlier deadline hastens the stop that runs: the way to force it.
 *
 * Sources
 *  [1] nestjs/mongoose#206, fastify/help#200: the database closed before the requests had ended.
 *  [2] uber-go/fx#1035.
 *  [3] dotnet/runtime#68036: time-outs of the services add up.
 *  [4] uber-go/fx, internal/lifecycle/lifecycle.go, and its test that no stop hook runs with an expired context.
 */

import {
  BreakwaterError,
  type Clock,
  Deadline,
  type Duration,
  Events,
  isBreakwaterError,
  type Logger,
  parseDuration,
} from '@breakwater/kernel'
import { Recorder, type Timeline } from '../timeline/recorder.js'
import type { BuiltInComponent } from './component.js'
import { type LifecycleEvent, logTo } from './events.js'
import { type Failure, LifecycleError, listFailures } from './failure.js'
import { type Health, type HealthStatus, healthOf } from './health.js'
import type { Part } from './part.js'
import { type Entry, type Plan, planOf } from './plan.js'
import { startAll } from './start.js'
import type { Surroundings } from './step.js'
import { StopRun } from './stop.js'
import { Turns } from './turns.js'

/** Below the 30 s after which Kubernetes kills. Source: its docs, `terminationGracePeriodSeconds`. */
const DISPOSE_MS = 25_000
/** How long hooks may take to let go of a start that is called off: enough to close a connection that is being made. */
const LET_GO_MS = 2_000

export class Lifecycle {
  readonly #surroundings: Surroundings
  readonly #clock: Clock
  readonly #turns = new Turns()
  readonly #entries: Entry[] = []
  /** Aborted when the start is called off. */
  readonly #start = new AbortController()
  #plan: Plan | undefined
  #status: HealthStatus = 'idle'
  #init: Promise<void> | undefined
  #disposal: Promise<void> | undefined
  /** The earliest deadline that a dispose() has set. */
  #until: Deadline | undefined
  /** The stop that is under way, of a failed start or of dispose(). */
  #stopRun: StopRun | undefined

  constructor(clock: Clock, logger?: Logger) {
    const events = new Events<LifecycleEvent>()
    if (logger !== undefined) events.subscribe(logTo(logger))
    this.#clock = clock
    this.#surroundings = { clock, events, hastened: new Events(), recorder: new Recorder(clock) }
  }

  /**
   * Takes up a component, which depends on `defaultNeeds` unless it says otherwise.
   * @throws {BreakwaterError} kind `usage`, code `ADDED_TOO_LATE`, after init() or dispose() was called.
   */
  add(component: BuiltInComponent, defaultNeeds: readonly string[] = []): void {
    if (this.#init !== undefined || this.#disposal !== undefined) {
      throw new BreakwaterError('usage', 'ADDED_TOO_LATE', `"${component.name}": add components before init()`)
    }
    this.#entries.push({ component, defaultNeeds })
  }

  /**
   * Starts everything, once; each call gets the same outcome, and the signal of each calls the start off.
   * @throws {BreakwaterError} kind `usage`: `COMPONENTS_INVALID` (nothing was done), `DISPOSED`.
   * @throws {LifecycleError} `INIT_FAILED`, `INIT_CANCELLED`; what had started is stopped again.
   */
  async init({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    if (this.#disposal !== undefined) {
      throw new BreakwaterError('usage', 'DISPOSED', 'init() after dispose(): make a new one instead')
    }
    const plan = this.#plan ?? planOf(this.#entries)
    const cancel = (): void => this.#start.abort(signal?.reason)
    if (signal?.aborted) cancel()
    else signal?.addEventListener('abort', cancel)
    try {
      this.#init ??= this.#bringUp(plan)
      await this.#init
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  }

  /**
   * Drains and stops everything, once; each call gets the same outcome, and the earliest deadline holds.
   * @throws {BreakwaterError} kind `usage`, code `OPTION_INVALID`.
   * @throws {LifecycleError} `DISPOSE_INCOMPLETE`, kind `timeout` or `failed`, with everything that went wrong.
   */
  dispose({ deadline = DISPOSE_MS }: { deadline?: Duration } = {}): Promise<void> {
    const ms = parseDuration(deadline)
    if (ms === undefined) {
      const message = `dispose: deadline must be in ms or a string such as '25s', not ${String(deadline)}`
      return Promise.reject(new BreakwaterError('usage', 'OPTION_INVALID', message))
    }
    const until = new Deadline(this.#clock, ms)
    if (this.#until === undefined || until.at < this.#until.at) this.#until = until
    if (this.#disposal === undefined) {
      this.#disposal = this.#turns.take(() => this.#takeDown(this.#until ?? until))
      this.#start.abort(new BreakwaterError('rejected', 'DISPOSED', 'dispose() was called during init()'))
    }
    this.#stopRun?.hasten(until)
    this.#surroundings.hastened.emit({ type: 'hastened' })
    return this.#disposal
  }

  /** Returns how every step went so far. */
  timeline(): Timeline {
    return this.#surroundings.recorder.timeline()
  }

  /** Returns how the whole and every component is at this moment. */
  health(): Health {
    return healthOf(this.#status, this.#plan?.parts ?? [])
  }
  async #bringUp(plan: Plan): Promise<void> {
    this.#plan = plan
    try {
      await this.#turns.take(() => this.#startOrRollBack(plan))
    } catch (error) {
      // Called off by dispose(): whoever sees this rejection should find everything stopped.
      await this.#disposal?.catch(() => {})
      throw error
    }
  }

  async #startOrRollBack(plan: Plan): Promise<void> {
    const begun = this.#clock.now()
    this.#status = 'starting'
    const controller = this.#start
    const failures = await startAll(plan.startLevels, {
      ...this.#surroundings,
      controller,
      graceMs: () => Math.min(LET_GO_MS, (this.#until?.remainingMs ?? Number.POSITIVE_INFINITY) / 2),
      onLate: (part, succeeded) => this.#onLate(part, succeeded),
    })
    const elapsedMs = this.#clock.now() - begun
    if (!controller.signal.aborted) {
      this.#status = 'ready'
      const degraded = plan.parts.filter(part => part.state === 'degraded').map(part => part.name)
      this.#surroundings.events.emit({ type: 'lifecycle.ready', elapsedMs, degraded })
      return
    }
    this.#status = 'failed'
    const started = plan.stopLevels.flat().filter(part => part.started && !part.overdue)
    // With a dispose() waiting for its turn, the stopping is its business: its deadline, its errors.
    const rollBack = this.#disposal === undefined ? await this.#stop(plan, new Deadline(this.#clock, DISPOSE_MS)) : []
    throw initError(controller.signal.reason, failures, rollBack, started, elapsedMs)
  }

  async #takeDown(until: Deadline): Promise<void> {
    // Never started: only what is held from construction on is there to be stopped.
    this.#plan ??= planOf(this.#entries.filter(each => each.component.heldFromConstruction))
    const begun = this.#clock.now()
    const { events } = this.#surroundings
    this.#status = 'stopping'
    events.emit({ type: 'lifecycle.draining', deadlineMs: until.remainingMs })
    const failures = await this.#stop(this.#plan, until)
    const elapsedMs = this.#clock.now() - begun
    this.#status = 'stopped'
    events.emit({ type: 'lifecycle.stopped', elapsedMs, failures: failures.length })
    if (failures.length > 0) throw disposeError(failures, elapsedMs)
  }

  async #stop(plan: Plan, until: Deadline): Promise<Failure[]> {
    this.#stopRun = new StopRun(this.#surroundings, until)
    const failures = await this.#stopRun.run(plan.stopLevels)
    this.#stopRun = undefined
    return failures
  }

  /** A start or ready hook that was given up on is over. */
  #onLate(part: Part, succeeded: boolean): void {
    if (part.missedStop) {
      // Nobody waits for this stop any more; how it goes is in the timeline and the log.
      void new StopRun(this.#surroundings, new Deadline(this.#clock, part.stopTimeoutMs)).run([[part]])
    } else if (succeeded && part.state === 'degraded' && part.component.ready === undefined) {
      part.state = 'started'
      part.error = undefined
    }
  }
}

function initError(
  cause: unknown,
  failures: readonly Failure[],
  rollBack: readonly Failure[],
  started: readonly Part[],
  elapsedMs: number,
): LifecycleError {
  const cancelled = failures[0]?.error !== cause
  const what = [`init ${cancelled ? 'cancelled' : 'failed'} after ${Math.round(elapsedMs)} ms`]
  if (failures.length > 0) what.push(listFailures(failures))
  const names = started.map(part => part.name).join(', ')
  what.push(names === '' ? 'nothing had started' : `rolled back: ${names}`)
  if (rollBack.length > 0) what.push(`roll-back failed: ${listFailures(rollBack)}`)
  const options = { cause, failures: [...failures, ...rollBack], elapsedMs }
  return new LifecycleError('failed', cancelled ? 'INIT_CANCELLED' : 'INIT_FAILED', what.join('; '), options)
}

function disposeError(failures: readonly Failure[], elapsedMs: number): LifecycleError {
  const open = failures.filter(each => each.open).map(each => each.component)
  const what = [`dispose incomplete after ${Math.round(elapsedMs)} ms`, listFailures(failures)]
  if (open.length > 0) what.push(`still open: ${[...new Set(open)].join(', ')}`)
  const ranOut = failures.some(({ error }) => isBreakwaterError(error) && error.kind === 'timeout')
  const options = { cause: failures[0]?.error, failures, elapsedMs }
  return new LifecycleError(ranOut ? 'timeout' : 'failed', 'DISPOSE_INCOMPLETE', what.join(': '), options)
}
