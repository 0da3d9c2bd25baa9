/** A contender's instances, each in its own process, driven as one: they share a database and a Redis, and the load. */

import { Latencies } from '../load/latency.js'
import type { Outcome } from '../load/open-loop.js'
import { sourceProgram } from '../process/program.js'
import { RemoteProcess } from '../process/remote-process.js'
import type { Scenario } from '../scenarios/scenario.js'
import type { Assignment, InstanceCalls, LoadOrder } from './protocol.js'

/** Who plays, and with which servers. */
export type Place = Pick<Assignment, 'contender' | 'postgresUrl' | 'redisUrl' | 'namespace'>

const PROGRAM = new URL('./instance-process.ts', import.meta.url)

export class Fleet implements AsyncDisposable {
  readonly #instances: readonly RemoteProcess<InstanceCalls>[]

  private constructor(instances: readonly RemoteProcess<InstanceCalls>[]) {
    this.#instances = instances
  }

  /** Starts the scenario's number of instances and has its ids read once; leaves none behind if that fails. */
  static async open(scenario: Scenario, place: Place, signal: AbortSignal): Promise<Fleet> {
    const { name, instances } = scenario
    const { contender, postgresUrl, redisUrl, namespace } = place
    const label = (place: number): string => `${contender}, instance ${place + 1}`
    const program = await sourceProgram(PROGRAM)
    const start = (place: number) => new RemoteProcess<InstanceCalls>(program, label(place), signal)
    const fleet = new Fleet(Array.from({ length: instances }, (_, i) => start(i)))
    try {
      await Promise.all(
        fleet.#instances.map((each, instance) =>
          each.call('assign', { contender, scenario: name, instance, instances, postgresUrl, redisUrl, namespace }),
        ),
      )
      await Promise.all(fleet.#instances.map(each => each.call('prime')))
      return fleet
    } catch (error) {
      await fleet[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Runs the load, split evenly over the instances, and adds up what they saw. */
  async load(order: LoadOrder): Promise<FleetOutcome> {
    const rate = order.rate / this.#instances.length
    return mergeOutcomes(await Promise.all(this.#instances.map(each => each.call('load', { ...order, rate }))))
  }

  /** Makes the database's statistics exact; resolves to the number of transactions that this has added itself. */
  async flushStatistics(): Promise<number> {
    const added = await Promise.all(this.#instances.map(each => each.call('flushStatistics')))
    return added.reduce((sum, each) => sum + each, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#instances.map(each => each.end()))
  }
}

/** The outcomes of all instances as one. */
export interface FleetOutcome extends Omit<Outcome, 'latency' | 'lateness'> {
  readonly latency: Latencies
  readonly lateness: Latencies
}

function mergeOutcomes(outcomes: readonly Outcome[]): FleetOutcome {
  const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, each) => total + of(each), 0)
  const errorMessages: Record<string, number> = {}
  for (const outcome of outcomes) {
    for (const [message, count] of Object.entries(outcome.errorMessages)) {
      errorMessages[message] = (errorMessages[message] ?? 0) + count
    }
  }
  return {
    asked: sum(each => each.asked),
    answered: sum(each => each.answered),
    wrong: sum(each => each.wrong),
    errors: sum(each => each.errors),
    errorMessages,
    elapsedMs: Math.max(...outcomes.map(each => each.elapsedMs)),
    cpuMs: sum(each => each.cpuMs),
    latency: Latencies.merge(outcomes.map(each => Latencies.decode(each.latency))),
    lateness: Latencies.merge(outcomes.map(each => Latencies.decode(each.lateness))),
  }
}
