/** What was found of fleets, real and simulated. */

import type { Target } from '../report/target.js'

/** One change in a simulated fleet. */
export interface Phase {
  readonly name: string
  /** Until what is held was, and stayed, the fair division; null if it never was. */
  readonly settledMs: number | null
  /** Of the whole fleet: until it had settled, and then. */
  readonly looksASecond: number
  readonly looksASecondAtRest: number
  /** Jain's index over those that want more than they have. */
  readonly fairness: number
}

export interface Simulated {
  readonly members: number
  readonly ceiling: number
  /** The most connections at one time. */
  readonly most: number
  readonly phases: readonly Phase[]
}

export type FleetContenderName = 'pg-pool' | 'breakwater'

/** What a fleet of real processes did on one small server. */
export interface FleetRound {
  readonly contender: FleetContenderName
  readonly instances: number
  readonly maxConnections: number
  /** Connections that the server refused, and queries that failed: until the first instance is replaced. */
  readonly refused: number
  readonly errors: number
  /** Queries answered under an even load. */
  readonly answered: number
  /** Of the instance that got the fewest answers, and of the one that got the most. */
  readonly fewest: number
  readonly most: number
  /** The most backends at one time, whatever was done to the fleet, and how many the server lets it have. */
  readonly backends: number
  readonly limit: number
  /**
   * Ms until all that there is was where demand had shifted to, in fair parts; of several shifts the slowest. null if not
   * within five seconds, or not tried.
   */
  readonly shiftMs: number | null
  /** Ms from kill -9 of one until the others have its connections. */
  readonly takeoverMs: number | null
  /** Instances that another has taken the place of, one after the other; refused connections and failed queries meanwhile. */
  readonly replaced: number | null
  readonly rollingRefused: number | null
  readonly rollingErrors: number | null
  /** Statements a second that the coordination has cost the server, all instances together. */
  readonly looksASecond: number
}

export interface FleetResults {
  readonly rounds: readonly FleetRound[]
  readonly targets: readonly Target[]
  /** Why it ended early, if it did. */
  readonly failure?: string
}
