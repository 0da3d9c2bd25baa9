/** Asks the server, over a connection of its own, for which of the pool's connections it is not at work. */

import { type Clock, Deadline } from '@breakwater/kernel'
import { processIdOf, remoteAddressOf } from '../driver.js'
import { closeConnection } from './close.js'
import type { Connection } from './connection.js'
import { type OpenOptions, openConnection } from './open.js'

/** A state that is not shown (`track_activities` is off) counts as at work. */
const AT_WORK = `select pg_backend_pid() as own, array(
  select pid from pg_stat_activity where pid = any($1::int[]) and coalesce(state, '') not like 'idle%'
) as pids`

/**
 * Resolves with those that wait for an answer in vain. Rejects when the server does not say so in time, or can't: behind a
 * pooler, or where the same name leads to several servers, process ids tell nothing.
 */
export async function findDead(
  silent: readonly Connection[],
  options: Pick<OpenOptions, 'Client' | 'clientOptions'>,
  timeoutMs: number,
  clock: Clock,
): Promise<readonly Connection[]> {
  const controller = new AbortController()
  const late = (): Error => new Error('the server did not answer in time')
  const deadline = new Deadline(clock, timeoutMs)
  const opening = openConnection({ ...options, onConnect: undefined, onLost: () => undefined }, controller.signal)
  try {
    const connection = await deadline.race(opening, late)
    try {
      return await deadline.race(ask(connection, silent), late)
    } finally {
      await closeConnection(connection, { clock, force: true, stream: undefined })
    }
  } catch (error) {
    controller.abort(error)
    throw error
  }
}

async function ask(probe: Connection, silent: readonly Connection[]): Promise<readonly Connection[]> {
  const comparable = silent.filter(({ client }) => remoteAddressOf(client) === remoteAddressOf(probe.client))
  const { rows } = await probe.client.query(AT_WORK, [comparable.map(({ client }) => processIdOf(client))])
  const { own, pids } = rows[0] as { own: number; pids: number[] }
  if (own !== processIdOf(probe.client)) throw new Error('a pooler hides the process ids')
  return comparable.filter(({ client }) => !pids.includes(processIdOf(client) as number))
}
