/**
 * One instance of a service that uses a contender: it makes its share of the load in its own event loop, where a
 * service's requests run too, and compares every reply with the true rows.
 */

import { CONNECTIONS, type OpenContender } from '../contenders/contender.js'
import { importContender } from '../contenders/index.js'
import { createCheck } from '../data/check.js'
import { entities } from '../data/entities.js'
import type { Id } from '../data/entity.js'
import { loadWorld, type World } from '../data/world.js'
import { type Outcome, runOpenLoop } from '../load/open-loop.js'
import { createRandom } from '../load/random.js'
import { createSchedule } from '../load/schedule.js'
import { PoolConnections } from '../measure/pool-connections.js'
import { findScenario } from '../scenarios/index.js'
import type { Scenario } from '../scenarios/scenario.js'
import type { Assignment, LoadOrder } from './protocol.js'

/** Reads in flight while priming. */
const PRIMING_AT_ONCE = 50
/** Ms after a load's last arrival until a missing answer counts as an error. */
const PATIENCE_MS = 15_000

export class Instance {
  readonly #assignment: Assignment
  readonly #scenario: Scenario
  readonly #world: World
  readonly #contender: OpenContender
  readonly #connections: PoolConnections
  readonly #check: (id: Id, answer: unknown) => boolean

  private constructor(
    assignment: Assignment,
    scenario: Scenario,
    world: World,
    contender: OpenContender,
    connections: PoolConnections,
  ) {
    this.#assignment = assignment
    this.#scenario = scenario
    this.#world = world
    this.#contender = contender
    this.#connections = connections
    this.#check = createCheck(entities[scenario.entity], world)
  }

  /** Opens the contender with all its connections. */
  static async open(assignment: Assignment): Promise<Instance> {
    const scenario = findScenario(assignment.scenario)
    if (scenario === undefined) throw new Error(`no scenario "${assignment.scenario}"`)
    const world = await loadWorld()
    const contender = await importContender(assignment.contender)
    const { postgresUrl, redisUrl, namespace } = assignment
    const { ttlMs } = scenario
    const opened = contender.create({ postgresUrl, redisUrl, namespace, ttlMs, entity: entities[scenario.entity] })
    const connections = new PoolConnections(opened.pool)
    await opened.init()
    await connections.openAll(CONNECTIONS)
    return new Instance(assignment, scenario, world, opened, connections)
  }

  /** Reads every n-th of the scenario's ids once, beginning with this instance's own place. */
  async prime(): Promise<void> {
    const { instance, instances } = this.#assignment
    const mine = this.#scenario.prime(this.#world).filter((_, place) => place % instances === instance)
    for (let from = 0; from < mine.length; from += PRIMING_AT_ONCE) {
      await Promise.all(mine.slice(from, from + PRIMING_AT_ONCE).map(id => this.#contender.get(id)))
    }
  }

  /** Runs one open-loop load, the same in every run with the same order. */
  load({ seed, purpose, rate, durationMs }: LoadOrder): Promise<Outcome> {
    const random = (what: string) => createRandom(seed, purpose, this.#assignment.instance, what)
    const nextId = this.#scenario.traffic(this.#world, random('ids'))
    const schedule = createSchedule(rate, durationMs, random('arrivals'), nextId)
    const target = { ask: (id: Id) => this.#contender.get(id), check: this.#check }
    return runOpenLoop(schedule, target, PATIENCE_MS)
  }

  flushStatistics(): Promise<number> {
    return this.#connections.flushStatistics()
  }

  close(): Promise<void> {
    return this.#contender.dispose()
  }
}
