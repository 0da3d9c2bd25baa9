/**
 * Ends the process in order when it is told to, or has crashed: what the service has is disposed of, and then the process
 * ends by itself, with a code that says how that went.
 *
 * `process.exit()` would cut off what is still on its way to a pipe (of 4 MB of log lines 64 kB arrive), so the code is set
 * and the event loop left to run empty. Two timers watch over that. While the stop lasts one keeps the process alive: without
 * it a stop that waits for nothing that the loop knows would empty the loop, and Node would end with 0 in the middle. When
 * the stop is over another, which keeps nothing alive, ends what some forgotten timer or socket would keep for ever.
 */

import { inspect } from 'node:util'
import { type Clock, type Duration, type Events, Faults, parseDuration } from '@breakwater/kernel'
import type { DisposeOptions } from '../data-access.js'
import type { LifecycleEvent } from '../lifecycle/events.js'

export interface SignalOptions {
  /** By when the stop is over, from the signal on. Default 25 s; on Windows a closed console leaves 8 s at most. */
  readonly deadline?: Duration
  /** Default SIGTERM, SIGINT, SIGHUP and, on Windows, SIGBREAK. */
  readonly signals?: readonly NodeJS.Signals[]
  /** Whether an uncaught exception or an unhandled rejection stops the service and ends it with code 1. Default true. */
  readonly crashes?: boolean
}

export interface Stoppable {
  readonly events: Events<LifecycleEvent>
  dispose(options: DisposeOptions): Promise<void>
  /** Whether somebody writes the events down. */
  readonly isLogged: boolean
}

const DEADLINE_MS = 25_000
const SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGBREAK']
/** Windows ends the process about 10 s after its console was closed. Source: Node's docs, `process`, "Signal events". */
const CONSOLE_CLOSED_MS = 8_000
/** The stop keeps its deadline by itself; this is for when even that fails. */
const SLACK_MS = 1_000
/** How long the loop may take to run empty. */
const LINGER_MS = 1_000
/** How long whoever reads our output may take to read what is left of it. */
const OUTPUT_MS = 5_000
const EXIT_FAILED = 1

/** @throws {BreakwaterError} kind `usage`, code `OPTION_INVALID`. */
function checkSignalOptions(options: SignalOptions): void {
  const faults = new Faults()
  faults.unknownKeys(options, ['deadline', 'signals', 'crashes'])
  const { deadline, signals, crashes } = options
  faults.check(
    deadline === undefined || parseDuration(deadline) !== undefined,
    "deadline must be in ms or a string such as '25s'",
  )
  faults.check(signals === undefined || Array.isArray(signals), 'signals must be an array')
  faults.check(crashes === undefined || typeof crashes === 'boolean', 'crashes must be true or false')
  faults.throwIfAny('OPTION_INVALID', 'handleSignals')
}

export class SignalHandler {
  readonly #service: Stoppable
  readonly #clock: Clock
  /** How long the stop may take. */
  readonly deadlineMs: number
  readonly #remove: (() => void)[] = []
  #told = 0
  #code = 0
  #isOver = false

  constructor(service: Stoppable, clock: Clock, options: SignalOptions = {}) {
    checkSignalOptions(options)
    this.#service = service
    this.#clock = clock
    this.deadlineMs = parseDuration(options.deadline ?? DEADLINE_MS) as number
    for (const signal of options.signals ?? SIGNALS) this.#listen(signal, () => this.#onSignal(signal))
    // A parent that cannot send signals, which on Windows is every parent.
    if (process.connected) this.#listen('message', message => message === 'shutdown' && this.#onSignal('shutdown'))
    if (options.crashes === false) return
    for (const kind of ['uncaughtException', 'unhandledRejection']) {
      this.#listen(kind, error => this.#onCrash(kind, error))
    }
  }

  /** The service is disposed of: unless a signal did that, there is nothing left to be told. */
  release(): void {
    if (this.#told === 0) this.#listenNoMore()
  }

  #listenNoMore(): void {
    for (const each of this.#remove.splice(0)) each()
  }

  #listen(event: string, listener: (...args: unknown[]) => void): void {
    process.on(event, listener)
    this.#remove.push(() => void process.off(event, listener))
  }

  #onSignal(signal: string): void {
    if (this.#isOver) process.exit()
    this.#told++
    if (this.#told > 2) process.exit(EXIT_FAILED)
    const isSecond = this.#told === 2
    this.#service.events.emit({ type: 'lifecycle.signal', signal, isSecond })
    if (isSecond) {
      this.#code = EXIT_FAILED
      this.#service.dispose({ force: true }).catch(() => {})
    } else this.#stop(signal)
  }

  #onCrash(kind: string, error: unknown): void {
    // The one who awaited the start that the signal has called off.
    if (this.#told > 0 && (error as { code?: unknown } | undefined)?.code === 'INIT_CANCELLED') return
    const isFirst = this.#told === 0
    this.#code = EXIT_FAILED
    if (this.#isOver) process.exitCode = EXIT_FAILED
    if (!this.#service.isLogged) process.stderr.write(`${inspect(error)}\n`)
    this.#service.events.emit({ type: 'lifecycle.signal', signal: kind, isSecond: !isFirst, error })
    if (!isFirst) return
    this.#told = 1
    this.#stop(kind)
  }

  #stop(signal: string): void {
    const isConsoleClosed = process.platform === 'win32' && signal === 'SIGHUP'
    const deadlineMs = isConsoleClosed ? Math.min(this.deadlineMs, CONSOLE_CLOSED_MS) : this.deadlineMs
    const watchdog = this.#clock.schedule(deadlineMs + SLACK_MS, () => process.exit(EXIT_FAILED), { keepAlive: true })
    this.#service
      .dispose({ deadline: deadlineMs })
      .catch((error: Error) => {
        this.#code = EXIT_FAILED
        if (!this.#service.isLogged) process.stderr.write(`${error.message}\n`)
      })
      .finally(() => {
        watchdog.cancel()
        this.#letEnd()
      })
  }

  #letEnd(): void {
    this.#isOver = true
    process.exitCode = this.#code
    // Of what is listened to only this keeps the process alive; the one who awaited a start is yet to hear of its end.
    process.channel?.unref()
    this.#clock.schedule(LINGER_MS, () => void this.#exit())
  }

  /** Something keeps the loop from running empty: what we wrote ourselves is waited for, anything else is not. */
  async #exit(): Promise<void> {
    const timer = this.#clock.schedule(OUTPUT_MS, () => process.exit(), { keepAlive: true })
    await Promise.all(
      [process.stdout, process.stderr].map(
        stream =>
          new Promise<void>(resolve => {
            if (stream.writableLength === 0) resolve()
            else stream.write('', () => resolve())
          }),
      ),
    )
    timer.cancel()
    process.exit()
  }
}
