/** What a tracer hears of those who wait. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../../test/pool-kit.js'
import type { AcquireMessage } from './acquire-channel.js'

const database = useDatabase()

it('the channel breakwater:acquire tells of each caller who waits, in his context, and whether it was in vain', async () => {
  const pool = database.pool({ max: 1, name: 'orders' })
  const context = new AsyncLocalStorage<string>()
  const channel = tracingChannel<AcquireMessage, AcquireMessage>('breakwater:acquire')
  const heard: string[] = []
  const note = (event: string) => (message: AcquireMessage) => {
    const { code } = (message.error ?? {}) as { code?: string }
    heard.push([message.pool, event, context.getStore(), code].filter(Boolean).join(' '))
  }
  const subscribers = {
    start: note('start'),
    end: () => {},
    asyncStart: () => {},
    asyncEnd: note('end'),
    error: () => {},
  }
  channel.subscribe(subscribers)
  onTestFinished(() => void channel.unsubscribe(subscribers))
  const first = await context.run('first', () => pool.connect())
  const second = context.run('second', () => pool.connect())
  await context.run('third', () => pool.connect({ timeout: 5 }).catch(() => undefined))
  first.release()
  ;(await second).release()
  // Nobody waits for what is idle.
  await pool.query('select 1')
  expect(heard).toEqual([
    'orders start first',
    'orders end first',
    'orders start second',
    'orders start third',
    'orders end third POOL_ACQUIRE_TIMEOUT',
    'orders end second',
  ])
})
