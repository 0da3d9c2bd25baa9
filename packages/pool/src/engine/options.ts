/** Options of a resource pool: checked all at once, with defaults, in milliseconds. */

import { type Clock, type Duration, Faults, parseDuration, systemClock } from '@breakwater/kernel'
import type { ShedLimits } from './shedding.js'
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
  /**
   * Tells whether what `create` failed with will pass by itself, such as a server that is down; also asked of
   * `POOL_CREATE_TIMEOUT`. Once something was created, callers with a time-out or a signal are then not rejected: they
   * wait on, while one attempt at a time is made. Without it, and if it throws, the answer is no.
   */
  isTransient?(error: unknown): boolean
}

/** Asks the factory; false if it has no answer. */
export function isTransient<T>(factory: ResourceFactory<T>, error: unknown): boolean {
  try {
    return factory.isTransient?.(error) === true
  } catch {
    return false
  }
}

/** When a queue counts as slow; see `ResourcePoolOptions.shed`. */
export interface ShedOptions {
  /** A queue is slow if not one caller was served in this time. Default 50 ms. */
  target?: Duration | undefined
  /** ... for this long. Default 2 s. */
  interval?: Duration | undefined
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
  /**
   * Whom the pool rejects with `POOL_SATURATED` because waiting will not help; `false` for nobody.
   * - A new caller whose resource is expected (callers ahead x mean use / resources) only after twice its time-out.
   * - In a queue that was slow throughout an interval, and cost a caller its answer: those who have waited for more than
   *   twice the target and are no more patient than the one that was lost.
   *
   * Default `{ target: 50, interval: '2s' }`. It may be on by default because a queue in which everyone is served in
   * time, however slow, is left alone: a burst, a batch, more workers than resources. Source of the numbers: Elixir's
   * db_connection, which sheds without that condition.
   */
  shed?: ShedOptions | false
  /**
   * Creations at a time, from 1, or Infinity. Callers are served by what is freed meanwhile. Default 4, so that a pool
   * which finds its server back does not fall upon it. Raise it for what takes long to make and costs the maker little.
   */
  maxCreating?: number
  /** Longest time for one `create`. Default 10 s. */
  createTimeout?: Duration
  /** A resource idle for longer is destroyed, down to `min`. Default 10 s; Infinity for never. */
  idleTimeout?: Duration
  /**
   * A resource is destroyed at this age, once it is idle; while others are in use, or if `min` asks for it, only after
   * its replacement has been made, if there is room for both. Default Infinity.
   */
  maxLifetime?: Duration
  /** Share by which the lifetime of each resource is longer or shorter at random, 0 to 1. Default 0.1. */
  lifetimeJitter?: number
  /** Leases after which a resource is destroyed, from 1. Default Infinity. */
  maxUses?: number
  /** A resource idle for longer is validated before it is leased. Default 500 ms. Source: HikariCP's bypass window. */
  validateAfterIdle?: Duration
  /**
   * A resource that stays idle is validated this often, one at a time, so that what is kept open is also kept alive, and
   * what is dead is replaced before a caller comes. Default 30 s; Infinity for never.
   */
  keepalive?: Duration
  /** Longest time for one `validate`. Default 1 s. */
  validateTimeout?: Duration
  /**
   * A lease held for longer is reported once, by the event `lease-leaked`, with the place where it was acquired. Costs a
   * stack trace (about 3 us) an acquire. Default Infinity, which costs nothing.
   */
  leakWarningAfter?: Duration
  /**
   * Takes the resource of a leaked lease away and destroys it with reason `leaked`; the lease's own release then does
   * nothing. Its holder may still be using the resource. Default false.
   */
  reclaimLeaked?: boolean
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
  readonly shed: ShedLimits | undefined
  readonly maxCreating: number
  readonly createTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxLifetimeMs: number
  readonly lifetimeJitter: number
  readonly maxUses: number
  readonly validateAfterIdleMs: number
  readonly validateTimeoutMs: number
  /** Infinity without a `validate`. */
  readonly keepaliveMs: number
  readonly leakWarningAfterMs: number
  readonly reclaimLeaked: boolean
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
  'shed',
  'maxCreating',
  'createTimeout',
  'idleTimeout',
  'maxLifetime',
  'lifetimeJitter',
  'maxUses',
  'validateAfterIdle',
  'validateTimeout',
  'keepalive',
  'leakWarningAfter',
  'reclaimLeaked',
  'drainTimeout',
  'destroyTimeout',
  'clock',
  'random',
]

/** @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`, listing every fault. */
export function resolveOptions<T>(options: ResourcePoolOptions<T>): ResolvedOptions<T> {
  const faults = new Faults()
  const parsed = (name: string, value: unknown): number => {
    const ms = parseDuration(value)
    faults.check(ms !== undefined, `${name} must be a duration such as 250 or '30s'`)
    return ms ?? 0
  }
  const duration = (key: keyof ResourcePoolOptions<T>, fallback: Duration): number =>
    parsed(key, options[key] ?? fallback)
  const { factory, max, min = 0, maxPending = Number.POSITIVE_INFINITY, maxUses = Number.POSITIVE_INFINITY } = options
  const { shed = {}, maxCreating = 4, lifetimeJitter = 0.1, reclaimLeaked = false } = options
  faults.unknownKeys(options, KNOWN)
  checkSize(faults, max, min)
  faults.check(shed === false || (typeof shed === 'object' && shed !== null), 'shed must be an object, or false')
  if (shed) faults.unknownKeys(shed, ['target', 'interval'])
  const isLimit = maxCreating === Number.POSITIVE_INFINITY || (Number.isInteger(maxCreating) && maxCreating >= 1)
  faults.check(isLimit, 'maxCreating must be a whole number from 1, or Infinity')
  faults.check(lifetimeJitter >= 0 && lifetimeJitter <= 1, 'lifetimeJitter must be a number from 0 to 1')
  faults.check(typeof reclaimLeaked === 'boolean', 'reclaimLeaked must be true or false')
  faults.check(maxPending >= 0, 'maxPending must be a number from 0')
  faults.check(maxUses >= 1, 'maxUses must be a number from 1')
  faults.check(typeof factory?.create === 'function', 'factory.create must be a function')
  faults.check(typeof factory?.destroy === 'function', 'factory.destroy must be a function')
  faults.check(
    factory?.validate === undefined || typeof factory.validate === 'function',
    'factory.validate must be a function',
  )
  faults.check(
    factory?.isTransient === undefined || typeof factory.isTransient === 'function',
    'factory.isTransient must be a function',
  )
  const resolved: ResolvedOptions<T> = {
    factory,
    max,
    min,
    name: options.name ?? 'pool',
    acquireTimeoutMs: duration('acquireTimeout', '5s'),
    maxPending,
    shed: shed
      ? {
          targetMs: parsed('shed.target', shed.target ?? '50ms'),
          intervalMs: parsed('shed.interval', shed.interval ?? '2s'),
        }
      : undefined,
    maxCreating,
    createTimeoutMs: duration('createTimeout', '10s'),
    idleTimeoutMs: duration('idleTimeout', '10s'),
    maxLifetimeMs: duration('maxLifetime', Number.POSITIVE_INFINITY),
    lifetimeJitter,
    maxUses,
    validateAfterIdleMs: duration('validateAfterIdle', '500ms'),
    validateTimeoutMs: duration('validateTimeout', '1s'),
    keepaliveMs: duration('keepalive', factory?.validate ? '30s' : Number.POSITIVE_INFINITY),
    leakWarningAfterMs: duration('leakWarningAfter', Number.POSITIVE_INFINITY),
    reclaimLeaked,
    drainTimeoutMs: duration('drainTimeout', '25s'),
    destroyTimeoutMs: duration('destroyTimeout', '5s'),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  }
  faults.throwIfAny('POOL_OPTIONS_INVALID', 'invalid options of a resource pool')
  return resolved
}

/** What `resize` changes; what is left out stays. */
export interface Size {
  max?: number
  min?: number
}

/** @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`. */
export function resolveSize(size: Size, present: Required<Size>): Required<Size> {
  const { max = present.max, min = present.min } = size
  const faults = new Faults()
  faults.unknownKeys(size, ['max', 'min'])
  checkSize(faults, max, min)
  faults.throwIfAny('POOL_OPTIONS_INVALID', 'invalid size of a resource pool')
  return { max, min }
}

function checkSize(faults: Faults, max: number, min: number): void {
  const isMax = max === Number.POSITIVE_INFINITY || (Number.isInteger(max) && max >= 1)
  faults.check(isMax, 'max must be a whole number from 1, or Infinity')
  faults.check(Number.isInteger(min) && min >= 0 && !(min > max), 'min must be a whole number from 0 to max')
}
