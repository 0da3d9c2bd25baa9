/** One query on a client that is its own while it runs: whatever form it has, it ends once. */

import { AsyncResource } from 'node:async_hooks'
import type { ClientLike, QueryResult, Submittable } from '../driver.js'
import { queryForCaller } from '../queries/client-query.js'

/** All that pg takes for a query, and the answer to a mistake. */
export type Query = string | object | null | undefined

interface CallbackQuery extends Submittable {
  callback?: ((error: Error | null, result?: QueryResult) => void) | undefined
  emit?: (...event: unknown[]) => boolean
}

/**
 * Resolves with what pg answers, in the same tick in which pg does. Rejects with the signal's reason as soon as it is
 * aborted; the query then still runs.
 */
export function dispatch(
  client: ClientLike,
  query: Query,
  values: unknown,
  signal?: AbortSignal,
): Promise<QueryResult> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const abort = (): void => reject(signal?.reason)
    const done = (error: Error | null | undefined, result?: QueryResult): void => {
      signal?.removeEventListener('abort', abort)
      if (error) reject(error)
      else resolve(result as QueryResult)
    }
    signal?.addEventListener('abort', abort)
    if (isSubmittable(query)) watch(client, query, done)
    try {
      queryForCaller(client, query, values, done as (error: unknown, result?: unknown) => void)
    } catch (error) {
      done(error as Error)
    }
  })
}

/** Tells whether it is a query of the application's own making, which takes the server's messages itself. */
export function isSubmittable(query: Query): query is CallbackQuery {
  return typeof (query as Partial<Submittable> | null | undefined)?.submit === 'function'
}

/** pg calls back only through a submittable's own callback, if it has one at all; but its end can be seen on the client. */
function watch(
  client: ClientLike,
  query: CallbackQuery,
  done: (error?: Error | null, result?: QueryResult) => void,
): void {
  // Its callback and its events belong to the caller, in whose context they run, not in that of the socket.
  const caller = new AsyncResource('breakwater.Query')
  const { callback, emit } = query
  if (callback) {
    query.callback = (error, result) => {
      done(error, result)
      caller.runInAsyncScope(callback, query, error, result)
    }
  }
  if (emit) query.emit = (...event) => caller.runInAsyncScope(emit, query, ...event)
  const over = (): void => {
    client.off('drain', over)
    client.off('end', over)
    done()
  }
  client.on('drain', over)
  client.on('end', over)
}
