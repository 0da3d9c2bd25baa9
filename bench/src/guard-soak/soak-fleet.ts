/** The instances of the soak, and what they and those before them have counted. */

import { setTimeout as sleep } from 'node:timers/promises'
import { Latencies, type Percentiles } from '../load/latency.js'
import { sourceProgram } from '../process/program.js'
import { RemoteProcess } from '../process/remote-process.js'
import type { SoakAssignment, SoakCalls, SoakCounts, SoakState } from './protocol.js'

const PROGRAM = new URL('./instance-process.ts', import.meta.url)
const RECOVERS_WITHIN_MS = 60_000
const POLL_MS = 100
/** Until then every guard has looked at Redis. */
const NOTICED_WITHIN_MS = 1_200

export interface SoakTotals {
  readonly counts: SoakCounts
  readonly evidence: readonly string[]
  readonly builds: number
  readonly audits: number
  /** How long adds took. */
  readonly addMs: Percentiles
}

interface Place {
  process: RemoteProcess<SoakCalls>
  number: number
}

export class SoakFleet implements AsyncDisposable {
  readonly #assign: (instance: number, place: number) => SoakAssignment
  readonly #abort: AbortSignal
  readonly #places: Place[] = []
  /** Of instances that have ended. */
  readonly #ended: SoakState[] = []
  #count = 0

  private constructor(assign: (instance: number, place: number) => SoakAssignment, abort: AbortSignal) {
    this.#assign = assign
    this.#abort = abort
  }

  static async open(
    instances: number,
    assign: (instance: number, place: number) => SoakAssignment,
    abort: AbortSignal,
  ): Promise<SoakFleet> {
    const fleet = new SoakFleet(assign, abort)
    try {
      await Promise.all(Array.from({ length: instances }, (_, place) => fleet.#start(place)))
      return fleet
    } catch (error) {
      await fleet[Symbol.asyncDispose]()
      throw error
    }
  }

  signal(place: number, name: NodeJS.Signals): void {
    this.#at(place).process.signal(name)
  }

  rebuild(place: number): Promise<void> {
    return this.#at(place).process.call('rebuild')
  }

  async restart(place: number, how: 'in order' | 'killed'): Promise<void> {
    const { process } = this.#at(place)
    this.#ended.push(await process.call('state'))
    if (how === 'killed') process.signal('SIGKILL')
    await process.end()
    await this.#start(place)
  }

  /** Resolves when all guards are ready; rejects if that takes too long. */
  async recovered(): Promise<void> {
    const startedAt = performance.now()
    await sleep(NOTICED_WITHIN_MS)
    for (;;) {
      const states = await this.states()
      if (states.every(({ guard }) => guard.state === 'ready' && guard.unacknowledged === 0)) return
      this.#abort.throwIfAborted()
      if (performance.now() - startedAt > RECOVERS_WITHIN_MS) {
        throw new Error(
          `the guards are ${states.map(({ guard }) => guard.state).join(', ')} after ${RECOVERS_WITHIN_MS} ms`,
        )
      }
      await sleep(POLL_MS)
    }
  }

  /** Of the instances that run. */
  states(): Promise<SoakState[]> {
    return Promise.all(this.#places.map(({ process }) => process.call('state')))
  }

  async totals(): Promise<SoakTotals> {
    const all = [...this.#ended, ...(await this.states())]
    return {
      counts: all.map(({ counts }) => counts).reduce(add),
      evidence: all.flatMap(({ evidence }) => evidence),
      builds: all.reduce((sum, { guard }) => sum + guard.builds, 0),
      audits: all.reduce((sum, { guard }) => sum + guard.audits, 0),
      addMs: Latencies.merge(all.map(({ addLatency }) => Latencies.decode(addLatency))).percentiles(),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#places.map(({ process }) => {
        process.signal('SIGCONT')
        return process.end()
      }),
    )
  }

  async #start(place: number): Promise<void> {
    const number = this.#count++
    const process = new RemoteProcess<SoakCalls>(await sourceProgram(PROGRAM), `instance ${number}`, this.#abort)
    this.#places[place] = { process, number }
    await process.call('open', this.#assign(number, place))
    await process.call('begin')
  }

  #at(place: number): Place {
    return this.#places[place] as Place
  }
}

function add(a: SoakCounts, b: SoakCounts): SoakCounts {
  const names = Object.keys(a) as (keyof SoakCounts)[]
  return Object.fromEntries(names.map(name => [name, a[name] + b[name]])) as Record<keyof SoakCounts, number>
}
