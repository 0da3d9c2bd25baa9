/**
 * One start and one stop for many components: everything up or nothing, and nothing left behind.
 *
 *    init()  |                                                          ^  dispose()
 *            v                                                          |
 *    level 1   start postgres, start redis          stop postgres, stop redis
 *    level 2   start cache                          stop cache
 *    level 3   start orders, start http             stop orders, stop http
 *              ---- everything can be used ----     ---- nothing is under way any more ----
 *    level 1   ready ...                            wait     for background work
 *    level 2   ready jobs: take them                consumers pause, finish, commit, disconnect
 *    level 3   ready http: listen                   wait     for requests and tracked work
 *            |                                      drain    level by level: http closes its port
 *            |                                      wait     until traffic goes elsewhere (drain delay)
 *            |                                      not ready
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
 *  - What an optional part could not do at the start is tried again behind the service, and called off by the stop.
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
  type StepContext,
} from '@breakwater/kernel'
import { bootSteps } from '../timeline/boot.js'
import { Recorder } from '../timeline/recorder.js'
import { Timeline } from '../timeline/timeline.js'
import { InFlight } from '../work/in-flight.js'
import type { BuiltInComponent } from './component.js'
import type { Leftovers, LifecycleEvent } from './events.js'
import { type Failure, LifecycleError, listFailures, listWork } from './failure.js'
import { type Health, type HealthStatus, healthOf, isReady } from './health.js'
import { runHook } from './hook.js'
import { leftoversOf } from './leftovers.js'
import { logTo } from './log-events.js'
import type { Part } from './part.js'
import { type Entry, type Plan, planOf } from './plan.js'
import { Retries } from './retries.js'
import { type StartContext, startAll } from './start.js'
import type { Surroundings } from './step.js'
import { FORCE_MS, StopRun, type StopWaits } from './stop.js'
import { Turns } from './turns.js'

/** Below the 30 s after which Kubernetes kills. Source: its docs, `terminationGracePeriodSeconds`. */
export const DISPOSE_MS = 25_000
/** How long hooks may take to let go of a start that is called off: enough to close a connection that is being made. */
const LET_GO_MS = 2_000

/** What the stop of a whole service has beside its components. */
export interface LifecycleSettings {
  /** See `StopWaits`; only for a service that was ready. */
  readonly delay?: StopWaits['delay']
  /** Sends off what was logged, measured and traced; called last, within what is left of the time. */
  readonly flush?: ((context: StepContext) => unknown) | undefined
}

export class Lifecycle {
  readonly #surroundings: Surroundings
  readonly #clock: Clock
  readonly #settings: LifecycleSettings
  readonly #turns = new Turns()
  readonly #entries: Entry[] = []
  /** Aborted when the start is called off. */
  readonly #start = new AbortController()
  readonly #retries: Retries
  readonly inFlight: InFlight
  readonly events: Events<LifecycleEvent> = new Events()
  #plan: Plan | undefined
  #status: HealthStatus = 'idle'
  #init: Promise<void> | undefined
  #disposal: Promise<void> | undefined
  /** The earliest deadline that a dispose() has set. */
  #until: Deadline | undefined
  #isForced = false
  /** The stop that is under way, of a failed start or of dispose(). */
  #stopRun: StopRun | undefined
  #left: Leftovers | undefined

  constructor(clock: Clock, logger?: Logger, settings: LifecycleSettings = {}) {
    if (logger !== undefined) this.events.subscribe(logTo(logger))
    this.#clock = clock
    this.#settings = settings
    this.inFlight = new InFlight(clock)
    this.#surroundings = { clock, events: this.events, hastened: new Events(), recorder: new Recorder(clock) }
    this.#retries = new Retries(this.#surroundings, this.#startContext)
  }

  /**
   * Takes up a component, which depends on `defaultNeeds` unless it says otherwise.
   * @throws {BreakwaterError} kind `usage`, code `ADDED_TOO_LATE`, after init() or dispose() was called.
   */
  add(component: BuiltInComponent, defaultNeeds: Entry['defaultNeeds'] = []): void {
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
   * @param options.force waits for nothing any more, and is over within half a second.
   * @throws {BreakwaterError} kind `usage`, code `OPTION_INVALID`.
   * @throws {LifecycleError} `DISPOSE_INCOMPLETE`, kind `timeout` or `failed`, with everything that went wrong.
   */
  dispose({ deadline = DISPOSE_MS, force = false }: { deadline?: Duration; force?: boolean } = {}): Promise<void> {
    const ms = parseDuration(deadline)
    if (ms === undefined) {
      const message = `dispose: deadline must be in ms or a string such as '25s', not ${String(deadline)}`
      return Promise.reject(new BreakwaterError('usage', 'OPTION_INVALID', message))
    }
    const until = new Deadline(this.#clock, force ? Math.min(ms, FORCE_MS) : ms)
    if (force) this.#isForced = true
    if (this.#until === undefined || until.at < this.#until.at) this.#until = until
    if (this.#disposal === undefined) {
      this.#disposal = this.#turns.take(() => this.#takeDown(this.#until ?? until))
      this.#start.abort(new BreakwaterError('rejected', 'DISPOSED', 'dispose() was called during init()'))
    }
    this.#stopRun?.hasten(until)
    if (force) this.#stopRun?.force()
    this.#surroundings.hastened.emit({ type: 'hastened' })
    return this.#disposal
  }

  /** Returns how every step went so far. */
  timeline(): Timeline {
    return new Timeline(bootSteps(this.#clock), this.#surroundings.recorder.steps(), this.#plan?.needs)
  }

  /** Returns how the whole and every component is at this moment. */
  health(): Health {
    return healthOf(this.#status, this.#plan?.parts ?? [])
  }

  /** Whether work should be sent here. */
  get isReady(): boolean {
    return isReady(this.#status, this.#plan?.parts ?? [])
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
    const context = { ...this.#surroundings, ...this.#startContext, cancel: controller.signal }
    const failures = await startAll(plan.startLevels, context, controller)
    const elapsedMs = this.#clock.now() - begun
    if (!controller.signal.aborted) {
      this.#status = 'ready'
      const degraded = plan.parts.filter(part => part.state === 'degraded').map(part => part.name)
      this.events.emit({ type: 'lifecycle.ready', elapsedMs, degraded })
      for (const part of plan.parts) this.#retries.begin(part)
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
    const wasReady = this.#status === 'ready'
    this.#status = 'stopping'
    const inFlight = this.inFlight.foreground.size
    this.events.emit({ type: 'lifecycle.draining', deadlineMs: until.remainingMs, inFlight })
    const failures = await this.#stop(this.#plan, until, wasReady ? this.#settings.delay : undefined)
    const elapsedMs = this.#clock.now() - begun
    this.#status = 'stopped'
    const forced = this.#left !== undefined
    this.events.emit({ type: 'lifecycle.stopped', elapsedMs, failures: failures.length, forced })
    await this.#flush()
    if (failures.length > 0) throw disposeError(failures, elapsedMs, this.#left)
  }

  async #stop(plan: Plan, until: Deadline, delay?: StopWaits['delay']): Promise<readonly Failure[]> {
    const begun = this.#clock.now()
    const { inFlight } = this
    inFlight.drain()
    for (const part of plan.parts) part.component.onStopping?.()
    await this.#retries.stop()
    const onForced = (): void => {
      this.#left = leftoversOf(plan.parts, this.timeline().steps, inFlight)
      this.events.emit({ type: 'lifecycle.forced', elapsedMs: this.#clock.now() - begun, left: this.#left })
    }
    // It may have been hastened meanwhile.
    const deadline = this.#until !== undefined && this.#until.at < until.at ? this.#until : until
    const run = new StopRun(this.#surroundings, deadline, { inFlight, ...(delay && { delay }) }, onForced)
    this.#stopRun = run
    if (this.#isForced) run.force()
    const failures = await run.run(plan.stopLevels)
    this.#stopRun = undefined
    return failures
  }

  /** A failure to send something off is told to nobody: there is nobody left to tell. */
  async #flush(): Promise<void> {
    const { flush } = this.#settings
    if (flush === undefined || this.#until === undefined) return
    const begun = this.#surroundings.recorder.begin('telemetry', 'flush')
    const bounds = { deadline: this.#until, cancel: new AbortController().signal, graceMs: () => 0 }
    const { result } = await runHook(flush, this.#clock, this.#surroundings.hastened, bounds)
    begun.end(result === 'ok' ? 'ok' : result === 'running' ? 'timeout' : 'failed')
  }

  get #startContext(): Pick<StartContext, 'graceMs' | 'onLate'> {
    return {
      graceMs: () => Math.min(LET_GO_MS, (this.#until?.remainingMs ?? Number.POSITIVE_INFINITY) / 2),
      onLate: (part, succeeded) => this.#onLate(part, succeeded),
    }
  }

  /** A start or ready hook that was given up on is over. */
  #onLate(part: Part, succeeded: boolean): void {
    if (part.missedStop) {
      // Nobody waits for this stop any more; how it goes is in the timeline and the log.
      void new StopRun(this.#surroundings, new Deadline(this.#clock, part.stopTimeoutMs)).run([[part]])
    } else if (succeeded && part.state === 'degraded' && part.component.ready === undefined) {
      part.state = 'started'
      part.error = undefined
      this.events.emit({ type: 'lifecycle.recovered', component: part.name, attempts: 0 })
    } else if (this.#status === 'ready') this.#retries.begin(part)
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

function disposeError(failures: readonly Failure[], elapsedMs: number, left: Leftovers | undefined): LifecycleError {
  const open = failures.filter(each => each.open).map(each => each.component)
  const what = [`dispose incomplete after ${Math.round(elapsedMs)} ms`, listFailures(failures)]
  if (open.length > 0) what.push(`still open: ${[...new Set(open)].join(', ')}`)
  if (left !== undefined && left.work.length > 0) what.push(`still under way: ${listWork(left.work)}`)
  const ranOut = failures.some(({ error }) => isBreakwaterError(error) && error.kind === 'timeout')
  const options = { cause: failures[0]?.error, failures, elapsedMs, left }
  return new LifecycleError(ranOut ? 'timeout' : 'failed', 'DISPOSE_INCOMPLETE', what.join(': '), options)
}
