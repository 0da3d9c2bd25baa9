/** What the parent may ask of an instance. */

import type { ContenderName } from '../contenders/index.js'
import type { Outcome } from '../load/open-loop.js'

export interface Assignment {
  readonly contender: ContenderName
  readonly scenario: string
  /** Which of the fleet's instances this is, from 0. */
  readonly instance: number
  readonly instances: number
  readonly postgresUrl: string
  readonly redisUrl: string
  readonly namespace: string
}

export interface LoadOrder {
  readonly seed: number
  /** Tells this load's random numbers from every other's; the same for each contender, so all get the same requests. */
  readonly purpose: string
  /** Requests a second of this instance. */
  readonly rate: number
  readonly durationMs: number
}

/** What an instance does for its parent, in the order in which it is called: `assign` first, `close` last. */
export interface InstanceCalls {
  assign(assignment: Assignment): Promise<void>
  /** Reads this instance's share of the scenario's ids once. */
  prime(): Promise<void>
  load(order: LoadOrder): Promise<Outcome>
  /** Makes the database's statistics exact; resolves to the number of transactions that this has added itself. */
  flushStatistics(): Promise<number>
  close(): Promise<void>
}
