/**
 * Callers that each ask, wait for the answer, and ask again: the most that a number of callers can get out of a pool. A
 * stall hides its own length here; how callers fare in one is what `open-loop.ts` measures.
 */

import type { Id } from '../data/entity.js'
import { ErrorTally } from './error-tally.js'
import { Latencies } from './latency.js'
import type { Target } from './target.js'

export interface ClosedLoad {
  readonly callers: number
  /** Ms after which no caller asks again. */
  readonly durationMs: number
  nextId(): Id
}

/** What the callers saw; plain data, so that it can be sent to another process. */
export interface ClosedOutcome {
  /** Answered, rightly or wrongly. */
  readonly answered: number
  readonly wrong: number
  /** Failed, or not answered within the callers' patience. */
  readonly errors: number
  readonly errorMessages: Readonly<Record<string, number>>
  /** Ms from the start to the last answer. */
  readonly elapsedMs: number
  /** Ms of CPU time of the whole process, user and system. */
  readonly cpuMs: number
  /** From the question to the answer; encoded. */
  readonly latency: string
}

/** @param patienceMs How long an answer is waited for after the load; what is missing then is an error. */
export async function runClosedLoop(load: ClosedLoad, target: Target, patienceMs: number): Promise<ClosedOutcome> {
  const { callers, durationMs, nextId } = load
  const latency = new Latencies()
  const errors = new ErrorTally()
  let answered = 0
  let wrong = 0
  let waiting = callers
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  let lastAnswerAt = startedAt

  const call = async (): Promise<void> => {
    let now = startedAt
    while (now - startedAt < durationMs) {
      const askedAt = now
      const id = nextId()
      try {
        const answer = await target.ask(id)
        now = performance.now()
        if (target.isTimed?.(answer) !== false) latency.record(now - askedAt)
        answered++
        if (!target.check(id, answer)) wrong++
      } catch (error) {
        now = performance.now()
        errors.add(error)
      }
      lastAnswerAt = now
    }
    waiting--
  }
  await within(durationMs + patienceMs, Promise.all(Array.from({ length: callers }, call)))
  for (; waiting > 0; waiting--) errors.add(`no answer ${patienceMs} ms after the load`)
  const cpu = process.cpuUsage(cpuBefore)
  return {
    answered,
    wrong,
    errors: errors.total,
    errorMessages: errors.messages(),
    elapsedMs: lastAnswerAt - startedAt,
    cpuMs: (cpu.user + cpu.system) / 1_000,
    latency: latency.encode(),
  }
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise(resolve => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work, late])
  clearTimeout(timer)
}
