/** Whose a query is: told right whichever connection it was put on, for whomever that was opened. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '@breakwater/kernel'
import { expect, it, onTestFinished } from 'vitest'
import { nearlyStillClock } from '../../test/leisurely-clock.js'
import { ROW, row, useSquares, WRITE } from '../../test/sharing-kit.js'
import type { QueryMessage } from './query-log.js'

const database = useSquares()
const context = new AsyncLocalStorage<string>()
const channel: TracingChannel<QueryMessage> = tracingChannel('breakwater:query')

/** The contexts in which the channel hears of reads, from now on. */
function heard(): unknown[] {
  const contexts: unknown[] = []
  const note = (message: unknown): void => {
    if ((message as QueryMessage).text === ROW) contexts.push(context.getStore())
  }
  channel.start.subscribe(note)
  onTestFinished(() => void channel.start.unsubscribe(note))
  return contexts
}

const names = ['a', 'b', 'c', 'd', 'e']

it('those who wait while a connection is looked at for the first of them', async () => {
  const pool = await database.sharing({ max: 1, clock: systemClock })
  // Idle for longer than is taken for granted.
  await sleep(50)
  const contexts = heard()
  await Promise.all(names.map(name => context.run(name, () => row(pool, 1))))
  expect(contexts.toSorted()).toEqual(names)
})

it('those whose query is run once more, alone, since its connection was lost', async () => {
  const write = { text: WRITE, values: [999, 0] }
  const pool = await database.sharing({ clock: nearlyStillClock }, write)
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('update squares set square = square where n = 100')
  const first = pool.query(WRITE, [100, 1]).catch(error => error)
  const behind = names.slice(0, 3).map(name => context.run(name, () => row(pool, 2)))
  const [waiter] = await database.waitingForLocks()
  const contexts = heard()
  await database.killBackends([waiter as number])
  await Promise.all([first, ...behind])
  expect(contexts.toSorted()).toEqual(names.slice(0, 3))
  await holder.query('rollback')
  holder.release()
})
