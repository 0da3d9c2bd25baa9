/** How loads are counted and told: by space, never with a key. */

import { tracingChannel } from 'node:diagnostics_channel'
import { FakeClock } from '@breakwater/testkit'
import { expect, it, onTestFinished } from 'vitest'
import { Cache } from '../cache.js'
import type { CacheDuration, LoadMessage } from './load-log.js'

it('the time of each load is counted by space, failed ones too, and told one by one', async () => {
  const clock = new FakeClock()
  const cache = new Cache({ clock })
  const seen: CacheDuration[] = []
  const stop = cache.observeDurations(duration => seen.push(duration))
  const pause = (ms: number): Promise<void> => new Promise(resolve => clock.schedule(ms, resolve))
  const users = cache.space<number>('user', { ttl: '1m', load: () => pause(40).then(() => 1) })
  const orders = cache.space<number>('order', {
    ttl: '1m',
    loadMany: async () => {
      await pause(7)
      throw new Error('no table')
    },
  })
  const reads = Promise.allSettled([users.get(1), users.get(1), orders.getMany([1, 2])])
  await clock.advance(50)
  await reads
  expect(cache.stats().spaces).toMatchObject({
    user: { loads: 1, loadTime: { count: 1, sumMs: 40 } },
    order: { loads: 1, loadTime: { count: 1, sumMs: 7 } },
  })
  expect(seen).toEqual([
    { type: 'load', space: 'order', ms: 7, failed: true },
    { type: 'load', space: 'user', ms: 40, failed: false },
  ])
  stop()
  expect(structuredClone(cache.stats())).toEqual(cache.stats())
})

it('the channel breakwater:cache:load tells of a load and its end, without the key', async () => {
  const channel = tracingChannel<LoadMessage, LoadMessage>('breakwater:cache:load')
  const heard: [string, LoadMessage][] = []
  const events = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const
  const subscribers = Object.fromEntries(
    events.map(event => [event, (message: LoadMessage) => heard.push([event, { ...message }])]),
  ) as never
  channel.subscribe(subscribers)
  onTestFinished(() => void channel.unsubscribe(subscribers))
  const cache = new Cache()
  const error = new Error('no table')
  const load = async (id: unknown): Promise<number> => (id === 'secret' ? 1 : Promise.reject(error))
  const users = cache.space<number>('user', { ttl: '1m', load })
  await users.get('secret')
  await users.get('other').catch(() => undefined)
  expect(heard.map(([event]) => event)).toEqual([
    'start',
    'end',
    'asyncStart',
    'asyncEnd',
    'start',
    'end',
    'error',
    'asyncStart',
    'asyncEnd',
  ])
  expect(heard[6]?.[1]).toMatchObject({ space: 'user', error })
  expect(JSON.stringify(heard)).not.toContain('secret')
})
