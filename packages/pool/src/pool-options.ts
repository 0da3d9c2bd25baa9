/** Options of the drop-in: pg-pool's, read as pg-pool reads them, and a few of our own; translated once, here. */

import { type Clock, type Duration, Faults, parseDuration, systemClock } from '@breakwater/kernel'
import type { PoolConfig as DriverPoolConfig } from './driver.js'
import type { ResourcePoolOptions } from './engine/options.js'

/** pg's own options, the client's among them, and what this pool adds. */
export interface PoolConfig extends DriverPoolConfig {
  /** Names the pool in errors and events. Default `'postgres'`. */
  name?: string | undefined
  /**
   * A caller's longest wait for a connection, in ms: for its turn and for the connect together; also the longest time for
   * one connect. 0 for no limit. Default 5,000 (pg: 0).
   */
  connectionTimeoutMillis?: number | undefined
  /** Connections kept open from `init()` on, and never closed for being idle. Default 0. */
  min?: number | undefined
  /** Callers that may wait beyond those for whom a connection is being opened, 0 to Infinity. Default Infinity. */
  maxPending?: number | undefined
  /**
   * What happens to a connection whose query the server refused. Default `'keep'`: it is as good as before. `'destroy'` is
   * pg's way, at the price of a connect for each failing query.
   */
  onQueryError?: 'keep' | 'destroy' | undefined
  /** How long `end()` and `dispose()` wait for clients to be released before they take them away. Default 25 s. */
  drainTimeout?: Duration | undefined
  /** Default: the process's own. */
  clock?: Clock | undefined
}

export interface ResolvedPoolOptions {
  readonly onQueryError: 'keep' | 'destroy'
  readonly clock: Clock
  /** For the engine; the factory is the pool's. */
  readonly engine: Omit<ResourcePoolOptions<never>, 'factory'>
}

const DEFAULT_MAX = 10
const DEFAULT_IDLE_MS = 10_000
export const DEFAULT_CONNECTION_TIMEOUT_MS = 5_000
const FUNCTIONS = ['Client', 'Promise', 'log', 'verify', 'onConnect'] as const

/** @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`, listing every fault. */
export function resolvePoolOptions(given: PoolConfig | null | undefined): ResolvedPoolOptions {
  const options: PoolConfig & { poolSize?: number } = given ?? {}
  const faults = new Faults()
  const { name = 'postgres', maxPending, onQueryError = 'keep', drainTimeout = '25s', clock = systemClock } = options

  /** As pg-pool reads its numbers: what is falsy means `otherwise`, and '20' out of an environment variable is 20. */
  const number = (key: keyof typeof options, least: number, otherwise: number): number => {
    if (!options[key]) return otherwise
    const value = Number(options[key])
    faults.check(value >= least, `${key} must be a number from ${least}, not ${String(options[key])}`)
    return value
  }
  // Half a connection is a whole one to pg-pool, too; and a min above max it takes for max.
  const max = Math.ceil(number('max', 1, number('poolSize', 1, DEFAULT_MAX)))
  const min = Math.min(max, Math.ceil(number('min', 0, 0)))
  const idleTimeout =
    options.idleTimeoutMillis === undefined ? DEFAULT_IDLE_MS : number('idleTimeoutMillis', 0, Infinity)
  const acquireTimeout =
    options.connectionTimeoutMillis === undefined
      ? DEFAULT_CONNECTION_TIMEOUT_MS
      : number('connectionTimeoutMillis', 0, Infinity)
  const maxLifetime = number('maxLifetimeSeconds', 0, Infinity) * 1_000
  const maxUses = number('maxUses', 1, Infinity)

  for (const key of FUNCTIONS) {
    faults.check(!options[key] || typeof options[key] === 'function', `${key} must be a function`)
  }
  faults.check(typeof name === 'string' && name !== '', 'name must be a string of at least one character')
  faults.check(maxPending === undefined || maxPending >= 0, 'maxPending must be a number from 0')
  faults.check(onQueryError === 'keep' || onQueryError === 'destroy', "onQueryError must be 'keep' or 'destroy'")
  faults.check(parseDuration(drainTimeout) !== undefined, "drainTimeout must be a duration such as 250 or '25s'")
  faults.throwIfAny('POOL_OPTIONS_INVALID', 'invalid options of a pool')

  const engine = { name, max, min, acquireTimeout, createTimeout: acquireTimeout, idleTimeout, maxLifetime, maxUses }
  return {
    onQueryError,
    clock,
    engine: { ...engine, ...(maxPending === undefined ? {} : { maxPending }), drainTimeout, clock },
  }
}
