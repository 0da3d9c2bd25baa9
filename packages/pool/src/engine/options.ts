/** Options of a resource pool: checked all at once, with defaults, in milliseconds. */

import { type Clock, type Duration, Faults, parseDuration, systemClock } from '@breakwater/kernel'
import type { RetireReason } from './slot.js'

/** Makes and breaks resources. */
export interface ResourceFactory<T> {
  /**
   * Makes a resource.
   * @param context.signal aborted when the result is no longer wanted; what comes all the same is destroyed.
   */
  create(context: { readonly signal: AbortSignal }): Promise<T> | T
  /**
   * Tells whether an idle resource still works; asked only after `validateAfterIdle`. A rejection means no.
   * @param context.signal aborted when `validateTimeout` has passed, which also means no.
   */
  validate?(value: T, context: { readonly signal: AbortSignal }): Promise<boolean> | boolean
  /**
   * Ends a resource; the pool's stop waits for it.
   * @param context.force the time to end it politely is over.
   */
  destroy(value: T, context: { readonly reason: RetireReason; readonly force: boolean }): Promise<void> | void
}

export interface ResourcePoolOptions<T> {
  factory: ResourceFactory<T>
  /** Resources at most, in any state; a whole number from 1, or Infinity. */
  max: number
  /** Resources kept open from `init()` on, and never evicted for being idle; 0 to `max`. Default 0. */
  min?: number
  /** Names the pool in errors and events. Default `'pool'`. */
  name?: string
  /** A caller's longest wait; 0 to Infinity (never). Default 5 s. */
  acquireTimeout?: Duration
  /** Callers that may wait beyond those for whom a resource is being made; 0 to Infinity. Default Infinity. */
  maxPending?: number
  /** Longest time for one `create`. Default 10 s. */
  createTimeout?: Duration
  /** A resource idle for longer is destroyed, down to `min`. Default 10 s; Infinity for never. */
  idleTimeout?: Duration
  /** A resource is destroyed at this age, once it is idle. Default Infinity. */
  maxLifetime?: Duration
  /** Leases after which a resource is destroyed, from 1. Default Infinity. */
  maxUses?: number
  /** A resource idle for longer is validated before it is leased. Default 500 ms. Source: HikariCP's bypass window. */
  validateAfterIdle?: Duration
  /** Longest time for one `validate`. Default 1 s. */
  validateTimeout?: Duration
  /** How long `dispose()` waits for leases to end before it takes them away. Default 25 s. */
  drainTimeout?: Duration
  /** How long `dispose()` waits after that for `destroy` to be done. Default 5 s. */
  destroyTimeout?: Duration
  /** Default: the process's own. */
  clock?: Clock
  /** Source of jitter, from 0 to 1 exclusive. Default `Math.random`. */
  random?: () => number
}

export interface ResolvedOptions<T> {
  readonly factory: ResourceFactory<T>
  readonly max: number
  readonly min: number
  readonly name: string
  readonly acquireTimeoutMs: number
  readonly maxPending: number
  readonly createTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxLifetimeMs: number
  readonly maxUses: number
  readonly validateAfterIdleMs: number
  readonly validateTimeoutMs: number
  readonly drainTimeoutMs: number
  readonly destroyTimeoutMs: number
  readonly clock: Clock
  readonly random: () => number
}

const KNOWN: readonly (keyof ResourcePoolOptions<unknown>)[] = [
  'factory',
  'max',
  'min',
  'name',
  'acquireTimeout',
  'maxPending',
  'createTimeout',
  'idleTimeout',
  'maxLifetime',
  'maxUses',
  'validateAfterIdle',
  'validateTimeout',
  'drainTimeout',
  'destroyTimeout',
  'clock',
  'random',
]

/** @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`, listing every fault. */
export function resolveOptions<T>(options: ResourcePoolOptions<T>): ResolvedOptions<T> {
  const faults = new Faults()
  const duration = (key: keyof ResourcePoolOptions<T>, fallback: Duration): number => {
    const ms = parseDuration(options[key] ?? fallback)
    faults.check(ms !== undefined, `${key} must be a duration such as 250 or '30s'`)
    return ms ?? 0
  }
  const { factory, max, min = 0, maxPending = Number.POSITIVE_INFINITY, maxUses = Number.POSITIVE_INFINITY } = options
  faults.unknownKeys(options, KNOWN)
  const isMax = max === Number.POSITIVE_INFINITY || (Number.isInteger(max) && max >= 1)
  faults.check(isMax, 'max must be a whole number from 1, or Infinity')
  faults.check(Number.isInteger(min) && min >= 0 && !(min > max), 'min must be a whole number from 0 to max')
  faults.check(maxPending >= 0, 'maxPending must be a number from 0')
  faults.check(maxUses >= 1, 'maxUses must be a number from 1')
  faults.check(typeof factory?.create === 'function', 'factory.create must be a function')
  faults.check(typeof factory?.destroy === 'function', 'factory.destroy must be a function')
  faults.check(
    factory?.validate === undefined || typeof factory.validate === 'function',
    'factory.validate must be a function',
  )
  const resolved: ResolvedOptions<T> = {
    factory,
    max,
    min,
    name: options.name ?? 'pool',
    acquireTimeoutMs: duration('acquireTimeout', '5s'),
    maxPending,
    createTimeoutMs: duration('createTimeout', '10s'),
    idleTimeoutMs: duration('idleTimeout', '10s'),
    maxLifetimeMs: duration('maxLifetime', Number.POSITIVE_INFINITY),
    maxUses,
    validateAfterIdleMs: duration('validateAfterIdle', '500ms'),
    validateTimeoutMs: duration('validateTimeout', '1s'),
    drainTimeoutMs: duration('drainTimeout', '25s'),
    destroyTimeoutMs: duration('destroyTimeout', '5s'),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  }
  faults.throwIfAny('POOL_OPTIONS_INVALID', 'invalid options of a resource pool')
  return resolved
}
