/**
 * Sends a schedule's requests at their arrival times whether or not earlier ones have been answered, and measures each
 * from the instant it should have been sent. So a stall costs every request that arrived during it, as it costs users.
 * Source: Gil Tene, "How NOT to Measure Latency" (coordinated omission).
 */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Id } from '../data/entity.js'
import { ErrorTally } from './error-tally.js'
import { Latencies } from './latency.js'
import type { Schedule } from './schedule.js'
import type { Target } from './target.js'

/** What one instance saw of one load; plain data, so that it can be sent to the parent. */
export interface Outcome {
  readonly asked: number
  /** Answered, rightly or wrongly. */
  readonly answered: number
  readonly wrong: number
  /** Failed, or not answered within the caller's patience. */
  readonly errors: number
  /** How often each error was seen, for the first few distinct ones. */
  readonly errorMessages: Readonly<Record<string, number>>
  /** Ms from the start to the last answer, and no less than the schedule's duration. */
  readonly elapsedMs: number
  /** Ms of CPU time of the whole process, user and system. */
  readonly cpuMs: number
  /** From the intended arrival to the answer or the error; encoded. */
  readonly latency: string
  /** By how much the sending was late: the part of the latency that is the generator's own; encoded. */
  readonly lateness: string
}

/**
 * The step of a Node timer. What arrives within it is sent together, so early and never late but for a stall; a latency
 * counts from the sending if that was early. Waiting in a busy loop would take a core from the servers instead.
 */
const TIMER_STEP_MS = 1

/** @param patienceMs How long after the last arrival an answer is still waited for; what is missing then is an error. */
export function runOpenLoop(schedule: Schedule, target: Target, patienceMs: number): Promise<Outcome> {
  return new OpenLoop(schedule, target).run(patienceMs)
}

class OpenLoop {
  readonly #schedule: Schedule
  readonly #target: Target
  readonly #latency = new Latencies()
  readonly #lateness = new Latencies()
  readonly #errors = new ErrorTally()
  /** What was sent and not answered: the place in the schedule, and the instant from which its latency counts. */
  readonly #pending = new Map<number, number>()
  #onNonePending: () => void = () => {}
  #startedAt = 0
  #lastAnswerAt = 0
  #answered = 0
  #wrong = 0

  constructor(schedule: Schedule, target: Target) {
    this.#schedule = schedule
    this.#target = target
  }

  async run(patienceMs: number): Promise<Outcome> {
    const cpuBefore = process.cpuUsage()
    this.#startedAt = performance.now()
    await this.#sendAll()
    await this.#waitForAnswers(patienceMs)
    const noAnswer = `no answer ${patienceMs} ms after the last arrival`
    for (const index of [...this.#pending.keys()]) this.#fail(index, noAnswer)
    const cpu = process.cpuUsage(cpuBefore)
    return {
      asked: this.#schedule.arrivals.length,
      answered: this.#answered,
      wrong: this.#wrong,
      errors: this.#errors.total,
      errorMessages: this.#errors.messages(),
      elapsedMs: Math.max(this.#schedule.durationMs, this.#lastAnswerAt),
      cpuMs: (cpu.user + cpu.system) / 1_000,
      latency: this.#latency.encode(),
      lateness: this.#lateness.encode(),
    }
  }

  async #sendAll(): Promise<void> {
    const { arrivals } = this.#schedule
    for (let next = 0; next < arrivals.length; ) {
      const wait = (arrivals[next] as number) - this.#now()
      if (wait > TIMER_STEP_MS) await sleep(wait)
      else this.#send(next++)
    }
  }

  #send(index: number): void {
    const id = this.#schedule.ids[index] as Id
    const arrival = this.#schedule.arrivals[index] as number
    const sentAt = this.#now()
    this.#lateness.record(sentAt - arrival)
    this.#pending.set(index, Math.min(arrival, sentAt))
    this.#target.ask(id).then(
      answer => {
        if (!this.#settle(index)) return
        this.#answered++
        if (!this.#target.check(id, answer)) this.#wrong++
      },
      error => this.#fail(index, error),
    )
  }

  #fail(index: number, error: unknown): void {
    if (this.#settle(index)) this.#errors.add(error)
  }

  /** Returns false for an answer that comes after it was given up. */
  #settle(index: number): boolean {
    const from = this.#pending.get(index)
    if (from === undefined) return false
    this.#pending.delete(index)
    this.#lastAnswerAt = this.#now()
    this.#latency.record(this.#lastAnswerAt - from)
    if (this.#pending.size === 0) this.#onNonePending()
    return true
  }

  #waitForAnswers(patienceMs: number): Promise<void> {
    return new Promise(resolve => {
      if (this.#pending.size === 0) return resolve()
      const patience = setTimeout(resolve, patienceMs)
      this.#onNonePending = () => {
        clearTimeout(patience)
        resolve()
      }
    })
  }

  #now(): number {
    return performance.now() - this.#startedAt
  }
}
