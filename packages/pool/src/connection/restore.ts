/** Makes a client that was given back in the middle of something fit for its next user. */

import { type Clock, Deadline } from '@breakwater/kernel'
import { type ClientLike, isInTransaction, isReady } from '../driver.js'
import { queryForUpkeep } from '../queries/client-query.js'

/** One round trip, and little for the server to do. */
const ROLLBACK_MS = 1_000

/** Tells whether the client runs nothing and has no transaction open, so that nothing has to be restored. */
export function isAtRest(client: ClientLike): boolean {
  return isReady(client) && !isInTransaction(client)
}

/**
 * Waits until the client's query is over; resolves with false if it is not in time, or never will be.
 * @param timeoutMs to Infinity.
 */
export async function settle(client: ClientLike, timeoutMs: number, clock: Clock): Promise<boolean> {
  if (isReady(client)) return true
  await within(clock, timeoutMs, over(client))
  return isReady(client)
}

/** Ends the client's transaction; resolves with false if the server does not confirm it in time. */
export async function rollBack(client: ClientLike, clock: Clock): Promise<boolean> {
  const answered = new Promise(resolve => queryForUpkeep(client, 'ROLLBACK', resolve))
  await within(clock, ROLLBACK_MS, answered)
  return isAtRest(client)
}

/** Resolves when the client has nothing more to do, or is no more. */
export function over(client: ClientLike): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      client.off('drain', done)
      client.off('end', done)
      resolve()
    }
    client.on('drain', done)
    client.on('end', done)
  })
}

/** Resolves when `work` has settled, or with false when the time is up: what counts is the client's state then. */
export async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  const settled = work.then(
    () => true,
    () => true,
  )
  return new Deadline(clock, ms).race(settled, () => undefined).catch(() => false)
}
