/**
 * `query` of a client that is in a pool: pg's own, whose callback runs in its caller's async context, not in that of
 * whoever had the connection opened; and counted.
 */

import { AsyncResource } from 'node:async_hooks'
import type { ClientLike } from '../driver.js'
import { type QueryTags, withComment } from './comment.js'
import { type QueryLog, RunningQuery } from './query-log.js'

type Callback = (this: unknown, error: unknown, result?: unknown) => void
type Query = (this: unknown, config: unknown, values?: unknown, callback?: unknown) => unknown

/** Who calls `client.query` at this moment: the application, or this package. */
let caller: 'application' | 'pool' | 'upkeep' = 'application'

/** Calls `client.query` for a caller of the pool, whose context `callback` restores by itself. */
export function queryForCaller(client: ClientLike, config: unknown, values: unknown, callback: Callback): void {
  callAs('pool', client, config, values, callback)
}

/** The longest that a timer takes. */
const NO_TIMEOUT_MS = 2 ** 31 - 1

/** Calls `client.query` for the pool's own ends: not counted, nobody's query to a tracer, and bounded by the pool alone. */
export function queryForUpkeep(client: ClientLike, text: string, callback: Callback): void {
  // 0 would be the client's own, which is for the application's queries: those may be given less time than a busy machine takes.
  callAs('upkeep', client, { text, query_timeout: NO_TIMEOUT_MS }, undefined, callback)
}

function callAs(who: typeof caller, client: ClientLike, ...[config, values, callback]: Parameters<Query>): void {
  caller = who
  try {
    // By callback: clients that are not pg's own may know no other form.
    const query = client.query as Query
    if (values === undefined) query.call(client, config, callback)
    else query.call(client, config, values, callback)
  } finally {
    caller = 'application'
  }
}

/** Puts such a `query` before the client's own, which may be replaced at any time. */
export function watchQueries(client: ClientLike, log: QueryLog, tags?: () => QueryTags | undefined): void {
  function query(this: unknown, config: unknown, values?: unknown, callback?: unknown): unknown {
    const who = caller
    caller = 'application'
    const stock = (Object.getPrototypeOf(client) as { query: Query }).query
    const isCallbackSecond = typeof values === 'function'
    const given = isCallbackSecond ? values : callback
    if (who === 'upkeep' || !isPlain(config)) return stock.call(client, config, values, callback)
    const call =
      typeof given === 'function' ? (who === 'pool' ? (given as Callback) : inContext(given as Callback)) : undefined
    return log.begin(new RunningQuery(config), running => {
      const sent = tags ? withComment(config, tags()) : config
      if (!call) {
        const result = stock.call(client, sent, values, callback) as Promise<unknown> | undefined
        return result?.then(
          result => {
            log.end(running, undefined, result)
            return result
          },
          error => {
            log.end(running, error, undefined)
            throw error
          },
        )
      }
      const counted: Callback = function (error, result) {
        log.end(running, error, result)
        call.call(this, error, result)
      }
      return isCallbackSecond ? stock.call(client, sent, counted) : stock.call(client, sent, values, counted)
    })
  }
  Object.defineProperty(client, 'query', { value: query, writable: true, configurable: true, enumerable: false })
}

/** A submittable has its own way to end; a callback within the config stays pg's business; null is its error to throw. */
function isPlain(config: unknown): boolean {
  if (typeof config === 'string') return true
  if (typeof config !== 'object' || config === null) return false
  return !('submit' in config) && !('callback' in config)
}

function inContext(callback: Callback): Callback {
  const resource = new AsyncResource('breakwater.query')
  return function (error, result) {
    resource.runInAsyncScope(callback, this, error, result)
  }
}
