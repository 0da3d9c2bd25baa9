/** The parts that every data access has, as components: postgres and redis side by side, then the cache, then its guards. */

import type { Cache } from '@breakwater/cache'
import { BreakwaterError, type StepContext } from '@breakwater/kernel'
import type { Pool } from '@breakwater/pool'
import type { BuiltInComponent, Component } from './lifecycle/component.js'
import { type AnyRedis, closeRedisClient, whenReady } from './redis-client.js'
import type { Work } from './work/work-list.js'

export type BuiltInName = 'postgres' | 'redis' | 'cache' | 'guards'

/** What may be set otherwise for a built-in component. */
export type BuiltInSettings = Pick<Component, 'startTimeout' | 'stopTimeout' | 'optional'>

export interface Resources {
  readonly pool: Pool
  readonly redis: AnyRedis | undefined
  readonly cache: Cache
  /** Whether the pool was made here, and so is closed here. */
  readonly ownsPool: boolean
  /** Whether the client was made here, and so is closed here. */
  readonly ownsRedis: boolean
}

/** Returns the built-in components, in the order of their start. */
export function builtInComponents(
  { pool, redis, cache, ownsPool, ownsRedis }: Resources,
  settings: Partial<Record<BuiltInName, BuiltInSettings>>,
): BuiltInComponent[] {
  const postgres: BuiltInComponent = {
    name: 'postgres',
    start: async context => {
      await context.step('connections', () => pool.init(context))
      // What the first request would have waited for: the catalog's pages, and the driver's own code.
      await context.step('warm-up query', () => pool.query({ text: 'select 1', signal: context.signal }))
    },
    left: () => leftOf(pool),
    ...(ownsPool && { heldFromConstruction: true, stop: context => closePool(pool, context) }),
    ...settings.postgres,
  }
  const redisComponent: BuiltInComponent | undefined = redis && {
    name: 'redis',
    // The cache works without it, past its second tier.
    optional: true,
    startTimeout: '3s',
    // One QUIT; a server that hangs should not use up the time of the others.
    stopTimeout: '2s',
    start: ({ signal }) => whenReady(redis, signal),
    isUp: () => redis.status === 'ready',
    ...(ownsRedis && { heldFromConstruction: true, stop: context => closeRedisClient(redis, context) }),
    stopsBefore: ['postgres'],
    ...settings.redis,
  }
  const cacheComponent: BuiltInComponent = {
    name: 'cache',
    // Its loaders read from Postgres.
    dependsOn: redis ? ['postgres', 'redis'] : ['postgres'],
    optional: true,
    startTimeout: '5s',
    heldFromConstruction: true,
    // It connects by itself when Redis comes; waiting for that a second time would only delay the start.
    start: context => (redis === undefined || redis.status === 'ready' ? cache.init(context) : undefined),
    onStopping: () => cache.startDraining(),
    stop: context => cache.dispose(context),
    ...settings.cache,
  }
  const guards: BuiltInComponent = {
    name: 'guards',
    dependsOn: ['cache'],
    // An unfilled guard lets every read through, which is slower and not wrong.
    optional: true,
    // A million ids are read from a table in a few seconds.
    startTimeout: '60s',
    start: ({ signal, step }) => cache.initGuards({ signal, step }),
    ...settings.guards,
  }
  return [postgres, ...(redisComponent ? [redisComponent] : []), cacheComponent, guards]
}

/** What is still asked of the pool, if anything is, each query with the work that it belongs to. */
function leftOf(pool: Pool): object | undefined {
  const { queries, clients, pending } = pool.inUse()
  if (queries.length + clients.length + pending === 0) return undefined
  return {
    queries: queries.map(({ caller, ...query }) => ({ ...query, ...(caller !== undefined && workOf(caller as Work)) })),
    clients,
    pending,
  }
}

function workOf({ name, traceId }: Work): object {
  const id = traceId()
  return { work: name, ...(id !== undefined && { traceId: id }) }
}

/** Ends the pool, and tells if that took force. */
async function closePool(pool: Pool, context: StepContext): Promise<void> {
  const drained = await pool.drain(context).then(
    () => true,
    () => false,
  )
  const { leased, pending } = pool.stats()
  await pool.dispose(context)
  if (drained || leased + pending === 0) return
  const message = `pool "${pool.name}" was ended by force: ${leased} clients were in use and ${pending} callers waited`
  throw new BreakwaterError('timeout', 'POSTGRES_NOT_DRAINED', message)
}
