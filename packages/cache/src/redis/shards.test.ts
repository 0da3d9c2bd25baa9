import { systemClock } from '@breakwater/kernel'
import { Cluster } from 'ioredis'
import { expect, it } from 'vitest'
import { CLUSTER_TAGS, Shards } from './shards.js'

it('spread the keys of a Cluster evenly, over slots that lie evenly', () => {
  const client = new Cluster([], { lazyConnect: true })
  const shards = new Shards(client, 'app', { clock: systemClock, timeoutMs: 100, outboxSize: 1, replicas: 0 })
  const counts = new Map<number, number>()
  for (let id = 0; id < 12_000; id++) {
    const { slot } = shards.of('user', String(id))
    counts.set(slot, (counts.get(slot) ?? 0) + 1)
  }
  expect([...counts.keys()].sort((a, b) => a - b)).toEqual(CLUSTER_TAGS.map(([, slot]) => slot))
  for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150)
  for (const [i, [, slot]] of CLUSTER_TAGS.entries()) expect(Math.floor((slot * 12) / 16_384)).toBe(i)
  for (const { redis } of shards.all) redis.dispose()
  client.disconnect()
})
