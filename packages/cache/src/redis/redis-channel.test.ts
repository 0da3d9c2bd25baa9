/** What a tracer hears of the cache's Redis. */

import { tracingChannel } from 'node:diagnostics_channel'
import { eventually, startRedis } from '@breakwater/testkit'
import { expect, it, onTestFinished } from 'vitest'
import { instancesOn } from '../instances.fixture.js'
import type { RedisMessage } from './redis-channel.js'

it('the channel breakwater:cache:redis tells of each operation and its end, without a key', async () => {
  await using server = await startRedis({ own: true })
  await using instances = instancesOn(server.url)
  const cache = instances.make()
  await cache.init()
  const channel = tracingChannel<RedisMessage, RedisMessage>('breakwater:cache:redis')
  const heard: [string, RedisMessage][] = []
  const events = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const
  const subscribers = Object.fromEntries(
    events.map(event => [event, (message: RedisMessage) => heard.push([event, { ...message }])]),
  ) as never
  channel.subscribe(subscribers)
  onTestFinished(() => void channel.unsubscribe(subscribers))
  const users = cache.space<number>('user', { ttl: '1m', load: async () => 1 })
  await users.get('secret')
  // What was loaded is kept behind its reader.
  await eventually(() => {
    const ended = heard.filter(([event]) => event === 'asyncEnd').map(([, { operation }]) => operation)
    expect(ended.filter(operation => operation !== 'adopt')).toEqual(['mget', 'getOrLease', 'fill'])
  })
  await server.kill()
  await users.delete('secret')
  const [, failed] = heard.find(([event]) => event === 'error') ?? []
  expect(failed).toMatchObject({ operation: 'invalidate', error: expect.any(Error) })
  expect(JSON.stringify(heard)).not.toContain('secret')
})
