/** What stands between the load and the database, in one shape for all: created, initialised, asked, disposed. */

import type { Entity, Id } from '../data/entity.js'
import type { CountedPool } from '../measure/pool-connections.js'

interface Setup {
  readonly postgresUrl: string
  readonly redisUrl: string
  /** Part of every Redis key, so that no two contenders, scenarios or runs see each other's. */
  readonly namespace: string
  readonly entity: Entity
  /** How long an answer is fresh, in ms, whole seconds. */
  readonly ttlMs: number
}

export interface OpenContender {
  /** The pool whose connections are counted; none is opened before `init`. */
  readonly pool: CountedPool
  init(): Promise<void>
  /** Answers as the table does: the row, or `null` if there is none. */
  get(id: Id): Promise<unknown>
  dispose(): Promise<void>
}

export interface Contender {
  readonly name: string
  create(setup: Setup): OpenContender
}

/** Connections of an instance, the same for every contender; pg.Pool's own default. */
export const CONNECTIONS = 10
