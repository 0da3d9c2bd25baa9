/** Options of the drop-in: pg-pool's, read as pg-pool reads them, and a few of our own; translated once, here. */

import { type Clock, type Duration, Faults, parseDuration, systemClock } from '@breakwater/kernel'
import type { PoolConfig as DriverPoolConfig } from './driver.js'
import type { ResourcePoolOptions } from './engine/options.js'
import { type FleetOptions, resolveFleet } from './fleet/options.js'
import type { QueryTags } from './queries/comment.js'
import type { CapacityOptions } from './sizing/capacity.js'
import { resolveSizing, type SizingOptions } from './sizing/options.js'

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
  /**
   * Whether quick queries of `pool.query` share connections, written one behind the other; see docs/pool.md. Default true,
   * with pg's own client from 8.23.1 on. `true`, said explicitly, means to pg that clients of `connect()` pipeline, too.
   */
  pipeline?: boolean | undefined
  /** Whom the pool rejects because waiting will not help; see `ResourcePoolOptions.shed`. `false` for nobody. */
  shed?: ResourcePoolOptions<never>['shed'] | undefined
  /** Connects at a time, from 1, or Infinity. Default 4. */
  maxCreating?: number | undefined
  /** Share by which each connection's `maxLifetimeSeconds` is longer or shorter at random, 0 to 1. Default 0.1. */
  lifetimeJitter?: number | undefined
  /**
   * A client held for longer is reported once, by the event `lease-leaked`, with the place where it was acquired; that
   * place is then named in the other events of its client, too. Default Infinity: never.
   */
  leakWarningAfter?: Duration | undefined
  /** Takes a leaked client away from its user, and closes its connection. Default false. */
  reclaimLeaked?: boolean | undefined
  /** How dead connections are found before a user finds them; `false` for not at all, and no TCP keepalive. */
  health?: HealthOptions | false | undefined
  /** How long `end()` and `dispose()` wait for clients to be released before they take them away. Default 25 s. */
  drainTimeout?: Duration | undefined
  /**
   * Shares the server's connections with all other instances of the service, so that together they never ask for more than
   * it has, and each has as many as it has use for as far as that is fair; `max` is the most that this one may have. Needs
   * no table, and costs the server a few short queries a second. See docs/pool.md. Default false.
   */
  fleet?: FleetOptions | boolean | undefined
  /**
   * Has the pool find its own size, at most `max`: from a load that is known (`sizePool` says how), or, with `'auto'`, from
   * the load that it sees: up within a second, down slowly, and no further than makes anything faster. It starts with `min`.
   * `max` is then 100 by default.
   */
  sizing?: SizingOptions | undefined
  /** Called for each query in its caller's context; what it returns is told of a query under way by `inUse()`. Default: none. */
  describeCaller?: (() => unknown) | undefined
  /**
   * Called for each query in its caller's context; what it returns is written behind the query as a comment, in the form of
   * sqlcommenter, so that the database's own logs and `pg_stat_activity` say whose it is. Queries with a name or a comment
   * of their own stay as they are. A query whose comment is another each time is not prepared. Default: none.
   */
  queryTags?: (() => QueryTags | undefined) | undefined
  /** Default: the process's own. */
  clock?: Clock | undefined
}

export interface HealthOptions {
  /** A connection idle for longer is asked for a sign of life before it is lent. Default 500 ms. Source: HikariCP. */
  idleWindow?: Duration | undefined
  /** How long it may take to give one. Default 1 s. */
  timeout?: Duration | undefined
  /**
   * How often a connection that stays idle is asked, so that those of `min` are alive when they are needed, and not
   * forgotten by what lies between. Default 30 s; Infinity for never.
   */
  keepalive?: Duration | undefined
  /**
   * When a query has waited so long without a byte, the server is asked over another connection whether it is at work on
   * it; if not, the connection is closed. A query that is merely slow is left alone. Default 10 s; Infinity for never.
   */
  deadAfter?: Duration | undefined
}

export interface ResolvedHealth {
  readonly timeoutMs: number
  readonly deadAfterMs: number
}

export interface ResolvedPoolOptions {
  readonly health: ResolvedHealth | undefined
  readonly onQueryError: 'keep' | 'destroy'
  readonly pipeline: boolean
  readonly clock: Clock
  readonly describeCaller: (() => unknown) | undefined
  readonly queryTags: PoolConfig['queryTags']
  readonly capacity: Omit<CapacityOptions, 'name' | 'clock'>
  /** For the engine; the factory is the pool's. */
  readonly engine: Omit<ResourcePoolOptions<never>, 'factory'>
}

const DEFAULT_MAX = 10
/** As many as a server of default settings has. */
const SIZED_MAX = 100
const DEFAULT_IDLE_MS = 10_000
export const DEFAULT_CONNECTION_TIMEOUT_MS = 5_000
/** Before the first probe; Node then sends one a second, ten times. The system's own default is two hours. */
export const KEEP_ALIVE_MS = 10_000
const HEALTH = { idleWindow: '500ms', timeout: '1s', keepalive: '30s', deadAfter: '10s' } as const
const FUNCTIONS = ['Client', 'Promise', 'log', 'verify', 'onConnect', 'describeCaller', 'queryTags'] as const

/** @throws {BreakwaterError} kind `usage`, code `POOL_OPTIONS_INVALID`, listing every fault. */
export function resolvePoolOptions(given: PoolConfig | null | undefined): ResolvedPoolOptions {
  const options: PoolConfig & { poolSize?: number } = given ?? {}
  const faults = new Faults()
  const { name = 'postgres', onQueryError = 'keep', clock = systemClock } = options
  const { pipeline = true } = options
  const { maxPending = Infinity, maxCreating = 4, lifetimeJitter = 0.1, shed = {}, reclaimLeaked = false } = options

  /** As pg-pool reads its numbers: what is falsy means `otherwise`, and '20' out of an environment variable is 20. */
  const number = (key: keyof typeof options, least: number, otherwise: number): number => {
    if (!options[key]) return otherwise
    const value = Number(options[key])
    faults.check(value >= least, `${key} must be a number from ${least}, not ${String(options[key])}`)
    return value
  }
  // Half a connection is a whole one to pg-pool, too; and a min above max it takes for max.
  const sizing = resolveSizing(faults, options.sizing)
  const max = Math.ceil(number('max', 1, number('poolSize', 1, sizing ? SIZED_MAX : DEFAULT_MAX)))
  const min = Math.min(max, Math.ceil(number('min', 0, 0)))
  const idleTimeout =
    options.idleTimeoutMillis === undefined ? DEFAULT_IDLE_MS : number('idleTimeoutMillis', 0, Infinity)
  const acquireTimeout =
    options.connectionTimeoutMillis === undefined
      ? DEFAULT_CONNECTION_TIMEOUT_MS
      : number('connectionTimeoutMillis', 0, Infinity)
  // A connect that gets no answer fails just before its caller gives up, so that he hears what he has waited for.
  const createTimeout = Math.max(acquireTimeout / 2, acquireTimeout - 10)
  const maxLifetime = number('maxLifetimeSeconds', 0, Infinity) * 1_000
  const maxUses = number('maxUses', 1, Infinity)

  for (const key of FUNCTIONS) {
    faults.check(!options[key] || typeof options[key] === 'function', `${key} must be a function`)
  }
  faults.check(typeof name === 'string' && name !== '', 'name must be a string of at least one character')
  faults.check(maxPending >= 0, 'maxPending must be a number from 0')
  faults.check(isCount(maxCreating), 'maxCreating must be a whole number from 1, or Infinity')
  faults.check(lifetimeJitter >= 0 && lifetimeJitter <= 1, 'lifetimeJitter must be a number from 0 to 1')
  faults.check(typeof reclaimLeaked === 'boolean', 'reclaimLeaked must be true or false')
  faults.check(typeof pipeline === 'boolean', 'pipeline must be true or false')
  faults.check(onQueryError === 'keep' || onQueryError === 'destroy', "onQueryError must be 'keep' or 'destroy'")
  const drainTimeout = duration(faults, 'drainTimeout', options.drainTimeout ?? '25s')
  const leakWarningAfter = duration(faults, 'leakWarningAfter', options.leakWarningAfter ?? Infinity)
  const limits = group(faults, 'shed', shed, { target: '50ms', interval: '2s' })
  const health = group(faults, 'health', options.health ?? {}, HEALTH)
  const fleet = resolveFleet(faults, options.fleet)
  faults.throwIfAny('POOL_OPTIONS_INVALID', 'invalid options of a pool')

  return {
    onQueryError,
    pipeline,
    clock,
    capacity: { max, min, createTimeoutMs: createTimeout, fleet, sizing },
    describeCaller: options.describeCaller,
    queryTags: options.queryTags,
    health: health && { timeoutMs: health.timeout, deadAfterMs: health.deadAfter },
    engine: {
      ...{ name, max, min, idleTimeout, maxLifetime, maxUses, maxPending, maxCreating, lifetimeJitter },
      ...{ acquireTimeout, createTimeout, drainTimeout, leakWarningAfter, reclaimLeaked, clock },
      ...(health && {
        validateAfterIdle: health.idleWindow,
        validateTimeout: health.timeout,
        keepalive: health.keepalive,
      }),
      shed: limits ?? false,
    },
  }
}

function isCount(value: number): boolean {
  return value === Infinity || (Number.isInteger(value) && value >= 1)
}

function duration(faults: Faults, name: string, value: unknown): number {
  const ms = parseDuration(value)
  faults.check(ms !== undefined, `${name} must be a duration such as 250 or '25s'`)
  return ms ?? 0
}

/** Reads an option that is a set of durations, or false for none. */
function group<K extends string>(
  faults: Faults,
  name: string,
  given: unknown,
  defaults: Record<K, Duration>,
): Record<K, number> | undefined {
  if (given === false) return undefined
  const isGroup = typeof given === 'object' && given !== null
  faults.check(isGroup, `${name} must be an object, or false`)
  if (!isGroup) return undefined
  const known = Object.keys(defaults) as K[]
  for (const key of Object.keys(given)) {
    faults.check(known.includes(key as K), `${name}.${key} is not an option (known: ${known.join(', ')})`)
  }
  const read = known.map(key => [
    key,
    duration(faults, `${name}.${key}`, (given as Record<K, unknown>)[key] ?? defaults[key]),
  ])
  return Object.fromEntries(read)
}
