/**
 * Starts a service as a process of its own, puts load on it, tells it to stop in the middle of that, and fails unless
 * everything that it had accepted was answered, and it ended in time with the right code.
 */

import { AssertionError } from 'node:assert'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { type Duration, parseDuration, systemClock, type Timer } from '@breakwater/kernel'

export interface LoadContext {
  /** From 0, a number for each call. */
  readonly n: number
  /** What `ready` matched, if that is an expression: its groups may hold the port. */
  readonly match: RegExpExecArray | undefined
}

export interface GracefulOptions {
  /** What the service writes when it is ready, or the URL that answers 200 then. */
  readonly ready: RegExp | string
  /**
   * Sends one request, or whatever the service is there for, and rejects if it is not answered well. Called again and again
   * until the signal is sent; those that are under way then must end well too.
   */
  readonly load?: (context: LoadContext) => unknown
  /** Calls of `load` at a time. Default 8. */
  readonly concurrency?: number
  /** How long there is load before the signal. Default 1 s. */
  readonly loadFor?: Duration
  /** Whether `load` goes on behind the signal, until the process has ended: for a service behind a balancer. Default false. */
  readonly keepLoading?: boolean
  /**
   * What tells it to stop; `shutdown` is sent as a message, to a child with an IPC channel; a function tells it in its own
   * way. Default SIGTERM.
   */
  readonly signal?: NodeJS.Signals | 'shutdown' | ((child: ChildProcess) => void)
  /** Sent this long after the first one, a second time. Default: not. */
  readonly secondAfter?: Duration
  /** By when it must have ended, from the signal on. Default 30 s. */
  readonly deadline?: Duration
  /** With which code. Default 0. */
  readonly exitCode?: number
  /** How long the start may take. Default 30 s. */
  readonly startTimeout?: Duration
  /** Looks for itself, when the process has ended: at the database, at what was logged. What it throws is a fault like others. */
  readonly verify?: (report: GracefulReport) => unknown
}

export interface GracefulReport {
  /** `null` if it was killed by a signal. */
  readonly exitCode: number | null
  /** Ms from the signal to the end of the process. */
  readonly elapsedMs: number
  readonly loads: { readonly succeeded: number; readonly failed: number }
  /** Why calls of `load` failed; at most 10. */
  readonly errors: readonly unknown[]
  /** All that it wrote, on both streams. */
  readonly output: string
}

const DEFAULTS = { loadFor: 1_000, deadline: 30_000, startTimeout: 30_000 } as const
const LISTED = 10
const LOOK_MS = 20

/**
 * Resolves with what was seen, if nothing is wrong with it.
 * @param start starts the service; its output must be piped (`stdio: 'pipe'`) to be read.
 * @throws {AssertionError} listing every fault, with the last lines of the output.
 */
export async function assertGraceful(
  start: () => ChildProcess | Promise<ChildProcess>,
  options: GracefulOptions,
): Promise<GracefulReport> {
  const child = await start()
  const run = new Run(child, options)
  try {
    return await run.toTheEnd()
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}

class Run {
  readonly #child: ChildProcess
  readonly #options: GracefulOptions
  readonly #closed: Promise<unknown>
  readonly #errors: unknown[] = []
  #output = ''
  #succeeded = 0
  #failed = 0
  #isLoading = true
  #n = 0

  constructor(child: ChildProcess, options: GracefulOptions) {
    this.#child = child
    this.#options = options
    this.#closed = once(child, 'close')
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
      })
    }
  }

  async toTheEnd(): Promise<GracefulReport> {
    const { concurrency = 8, load, keepLoading = false, secondAfter } = this.#options
    const match = await this.#ready()
    const loads = load === undefined ? [] : Array.from({ length: concurrency }, () => this.#load(load, match))
    await sleep(this.#ms('loadFor'))
    const begun = systemClock.now()
    this.#isLoading = keepLoading
    this.#tell()
    const second =
      secondAfter === undefined ? undefined : systemClock.schedule(parseDuration(secondAfter) ?? 0, () => this.#tell())
    const inTime = await within(this.#ms('deadline'), this.#closed)
    second?.cancel()
    const elapsedMs = systemClock.now() - begun
    this.#isLoading = false
    if (!inTime) this.#child.kill('SIGKILL')
    await Promise.all([this.#closed, ...loads])
    const report: GracefulReport = {
      exitCode: this.#child.exitCode,
      elapsedMs,
      loads: { succeeded: this.#succeeded, failed: this.#failed },
      errors: this.#errors,
      output: this.#output,
    }
    await this.#judge(report, inTime)
    return report
  }

  async #ready(): Promise<RegExpExecArray | undefined> {
    const { ready } = this.#options
    const until = systemClock.now() + this.#ms('startTimeout')
    for (;;) {
      if (ready instanceof RegExp) {
        const match = ready.exec(this.#output)
        if (match) return match
      } else if (await answersWell(ready)) return undefined
      if (this.#child.exitCode !== null || this.#child.signalCode !== null)
        throw this.#fault('it ended before it was ready')
      if (systemClock.now() > until) throw this.#fault(`it was not ready after ${this.#ms('startTimeout')} ms`)
      await sleep(LOOK_MS)
    }
  }

  async #load(load: (context: LoadContext) => unknown, match: RegExpExecArray | undefined): Promise<void> {
    while (this.#isLoading) {
      try {
        await load({ n: this.#n++, match })
        this.#succeeded++
      } catch (error) {
        this.#failed++
        if (this.#errors.length < LISTED) this.#errors.push(error)
        // One that cannot be reached fails at once; that need not be seen a million times.
        await sleep(LOOK_MS)
      }
      // A load that waits for nothing would keep everything else from happening.
      await new Promise(setImmediate)
    }
  }

  #tell(): void {
    const { signal = 'SIGTERM' } = this.#options
    if (typeof signal === 'function') signal(this.#child)
    else if (signal === 'shutdown') this.#child.send(signal, () => {})
    else this.#child.kill(signal)
  }

  async #judge(report: GracefulReport, inTime: boolean): Promise<void> {
    const { exitCode = 0, load, verify } = this.#options
    const faults: string[] = []
    if (!inTime) faults.push(`it had not ended ${this.#ms('deadline')} ms after the signal, and was killed`)
    else if (report.exitCode !== exitCode) faults.push(`it ended with code ${report.exitCode}, not ${exitCode}`)
    if (report.loads.failed > 0) faults.push(`${report.loads.failed} calls of load failed: ${listed(report.errors)}`)
    if (load !== undefined && report.loads.succeeded === 0) faults.push('not one call of load had ended well')
    try {
      await verify?.(report)
    } catch (error) {
      faults.push(error instanceof Error ? error.message : String(error))
    }
    if (faults.length > 0) throw this.#fault(faults.join('; '))
  }

  #fault(what: string): AssertionError {
    const lines = this.#output.trimEnd().split('\n').slice(-20).join('\n')
    return new AssertionError({ message: `the stop was not graceful: ${what}\n--- its last lines:\n${lines}` })
  }

  #ms(key: keyof typeof DEFAULTS): number {
    return parseDuration(this.#options[key] ?? DEFAULTS[key]) as number
  }
}

function listed(errors: readonly unknown[]): string {
  return [...new Set(errors.map(String))].join(', ')
}

async function answersWell(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1_000) })).ok
  } catch {
    return false
  }
}

/** Resolves with whether `work` was over in time. */
async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: Timer | undefined
  const late = new Promise<boolean>(resolve => {
    timer = systemClock.schedule(ms, () => resolve(false), { keepAlive: true })
  })
  const inTime = await Promise.race([work.then(() => true), late])
  timer?.cancel()
  return inTime
}

function sleep(ms: number): Promise<void> {
  return new Promise(resolve => void systemClock.schedule(ms, resolve, { keepAlive: true }))
}
