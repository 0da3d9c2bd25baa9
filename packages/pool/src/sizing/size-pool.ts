/** How many connections a load needs. */

import { Faults } from '@breakwater/kernel'

export interface Demand {
  /** Uses of a connection a second, by this instance; from 0. Transactions and queries, each once. */
  targetQps: number
  /** Mean time that one takes, in ms, from when it has a connection until that is free again, round trips included; from 0. */
  holdMs: number
  /** How many of them may find every connection in use, above 0 and below 1. Default 0.05. */
  waitRatio?: number | undefined
  /** Queries that share a connection at one time, where they are pipelined; from 1. Default 1. */
  depth?: number | undefined
  /** How many of the uses are single queries that can share one, 0 to 1. Default 0. */
  singleRatio?: number | undefined
}

/** Limits that apply in any case; each a whole number from 1, `min` from 0. Default none. */
export interface Bounds {
  min?: number | undefined
  /** What the application allows. */
  max?: number | undefined
  /** This instance's part of what the server has. */
  share?: number | undefined
  /** Above it the database only gets slower. */
  database?: number | undefined
}

export interface SizeDerivation {
  readonly size: number
  /** Connections that are in use on average: `targetQps` x `holdMs`. */
  readonly load: number
  /** What the load needs, without any bound. */
  readonly need: number
  /** What has decided. */
  readonly boundBy: 'need' | keyof Bounds
}

const DEFAULT_WAIT_RATIO = 0.05
/** Beyond it the square root alone is exact to a connection in a thousand. */
const EXACT_UP_TO = 10_000

/**
 * Returns how many connections a load needs, and why so many.
 *
 *     L    = targetQps x holdMs / 1000                         Little's law: so many are in use on average
 *     need = singleRatio x L / depth + staffing((1 - singleRatio) x L), rounded up
 *
 * `staffing(L)` is the least number c of connections at which no more than `waitRatio` of the callers find all in use, by
 * Erlang's C formula; for large L that is L + b x sqrt(L). Callers are taken to come independently of each other, and a use
 * to last as long as chance will have it; evenly spaced ones need less. What is needed is then bounded: at least `min`, at
 * most the least of the others.
 *
 * Sources: J. Little, "A Proof for the Queuing Formula L = lambda W" (1961); A. Erlang, "Solution of some Problems in the
 * Theory of Probabilities of Significance in Automatic Telephone Exchanges" (1917); S. Halfin, W. Whitt, "Heavy-Traffic
 * Limits for Queues with Many Exponential Servers" (1981), for the square root.
 * @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`, listing every fault.
 */
export function sizePool(demand: Demand, bounds: Bounds = {}): SizeDerivation {
  const faults = new Faults()
  checkDemand(faults, demand, '')
  checkBounds(faults, bounds)
  faults.throwIfAny('POOL_OPTIONS_INVALID', 'invalid facts for the size of a pool')
  const { targetQps, holdMs, waitRatio, depth = 1, singleRatio = 0 } = demand
  const load = (targetQps * holdMs) / 1_000
  const need = Math.max(1, Math.ceil((singleRatio * load) / depth + staffing((1 - singleRatio) * load, waitRatio)))
  return { load, need, ...bounded(need, bounds) }
}

/**
 * Returns the least number of connections at which at most `waitRatio` of the callers find all in use.
 * @param load connections in use on average, from 0.
 */
export function staffing(load: number, waitRatio: number = DEFAULT_WAIT_RATIO): number {
  if (load <= 0) return 0
  if (load > EXACT_UP_TO) return Math.ceil(load + headroom(waitRatio) * Math.sqrt(load))
  // Erlang's B by its recurrence, which neither over- nor underflows, and C from it.
  let blocked = 1
  for (let connections = 1; ; connections++) {
    blocked = (load * blocked) / (connections + load * blocked)
    if (connections <= load) continue
    const waiting = blocked / (1 - (load / connections) * (1 - blocked))
    if (waiting <= waitRatio) return connections
  }
}

/** Bounds what is needed, and says what has decided. */
export function bounded(need: number, bounds: Bounds): Pick<SizeDerivation, 'size' | 'boundBy'> {
  const limits = (['max', 'share', 'database'] as const).map(name => [name, bounds[name] ?? Infinity] as const)
  const [least, limit] = limits.reduce((tightest, each) => (each[1] < tightest[1] ? each : tightest))
  const { min = 0 } = bounds
  if (limit < Math.max(need, min)) return { size: limit, boundBy: least }
  return need < min ? { size: min, boundBy: 'min' } : { size: need, boundBy: 'need' }
}

/** Notes what is wrong with a demand. @param prefix of the names of its parts. */
export function checkDemand(faults: Faults, demand: Demand, prefix: string): void {
  const { targetQps, holdMs, waitRatio = DEFAULT_WAIT_RATIO, depth = 1, singleRatio = 0 } = demand
  const known = ['targetQps', 'holdMs', 'waitRatio', 'depth', 'singleRatio']
  for (const key of Object.keys(demand)) {
    faults.check(known.includes(key), `${prefix}${key} is not an option (known: ${known.join(', ')})`)
  }
  const isNumber = (value: unknown, least: number, most: number): boolean =>
    typeof value === 'number' && value >= least && value <= most
  faults.check(isNumber(targetQps, 0, Number.MAX_VALUE), `${prefix}targetQps must be a number from 0`)
  faults.check(isNumber(holdMs, 0, Number.MAX_VALUE), `${prefix}holdMs must be a number of ms from 0`)
  const isOpen = isNumber(waitRatio, Number.MIN_VALUE, 1) && waitRatio < 1
  faults.check(isOpen, `${prefix}waitRatio must be a number above 0 and below 1`)
  faults.check(isNumber(depth, 1, Number.MAX_VALUE), `${prefix}depth must be a number from 1`)
  faults.check(isNumber(singleRatio, 0, 1), `${prefix}singleRatio must be a number from 0 to 1`)
}

function checkBounds(faults: Faults, bounds: Bounds): void {
  faults.unknownKeys(bounds, ['min', 'max', 'share', 'database'])
  for (const [name, value] of Object.entries(bounds)) {
    const least = name === 'min' ? 0 : 1
    const isCount = value === undefined || value === Infinity || (Number.isInteger(value) && value >= least)
    faults.check(isCount, `${name} must be a whole number from ${least}`)
  }
}

/** The factor before the square root: Halfin and Whitt's, found by halving. */
function headroom(waitRatio: number): number {
  let [low, high] = [0, 10]
  for (let halvings = 0; halvings < 50; halvings++) {
    const middle = (low + high) / 2
    if (waitingAt(middle) > waitRatio) low = middle
    else high = middle
  }
  return high
}

function waitingAt(beta: number): number {
  const density = Math.exp((-beta * beta) / 2) / Math.sqrt(2 * Math.PI)
  return 1 / (1 + (beta * cumulative(beta)) / density)
}

/** Of the normal distribution, for values from 0. Source: M. Abramowitz, I. Stegun, formula 26.2.17, to 7.5e-8. */
function cumulative(value: number): number {
  const t = 1 / (1 + 0.2316419 * value)
  const tail = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return 1 - (Math.exp((-value * value) / 2) / Math.sqrt(2 * Math.PI)) * tail
}
