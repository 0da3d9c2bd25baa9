/** Redis Cluster and Sentinel: started, failed over with and without loss, resharded, and gone when disposed of. */

import { Cluster, Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { isAlive } from '../process/tree.mjs'
import { startRedisCluster } from './start-redis-cluster.js'
import { startRedisSentinels } from './start-redis-sentinels.js'

/** Its slot is 12,182. */
const KEY = 'foo'
const SLOT = 12_182

test('a Cluster takes keys of every slot, fails over with and without loss, moves a slot, and is gone when disposed of', async () => {
  const pids: (number | undefined)[] = []
  {
    await using cluster = await startRedisCluster()
    pids.push(...cluster.servers.map(server => server.pid))
    const startup = cluster.servers.map(({ host, port }) => ({ host, port }))
    const client = new Cluster(startup, { redisOptions: { disconnectTimeout: 0 } })
    client.on('error', () => {})
    for (let i = 0; i < 50; i++) expect(await client.set(`key${i}`, i)).toBe('OK')

    const first = await cluster.owner(SLOT)
    await client.set(KEY, 'kept')
    const second = await cluster.failOver(SLOT)
    expect(second.port).not.toBe(first.port)
    expect(await client.get(KEY)).toBe('kept')

    await cluster.cutOff(SLOT)
    expect(await client.set(KEY, 'lost')).toBe('OK')
    await second.kill()
    expect((await cluster.failOver(SLOT)).port).toBe(first.port)
    expect(await client.get(KEY)).toBe('kept')

    let meanwhile: string | null = null
    await cluster.moveSlot(SLOT, async () => {
      meanwhile = await client.get(KEY)
    })
    expect([meanwhile, await client.get(KEY)]).toEqual(['kept', 'kept'])
    expect((await cluster.owner(SLOT)).port).not.toBe(first.port)
    client.disconnect()
  }
  expect(pids.filter(pid => pid !== undefined && isAlive(pid))).toEqual([])
})

test('Sentinels promote a replica when asked, when the master freezes, and without what did not reach it', async () => {
  const pids: (number | undefined)[] = []
  {
    await using set = await startRedisSentinels()
    pids.push(...[...set.servers, ...set.sentinels].map(server => server.pid))
    const sentinels = set.sentinels.map(({ host, port }) => ({ host, port }))
    const client = new Redis({ sentinels, name: set.name, disconnectTimeout: 0 })
    client.on('error', () => {})

    const first = await set.master()
    await client.set(KEY, 'kept')
    expect(await client.wait(2, 5_000)).toBe(2)
    const second = await set.failOver()
    expect(second.port).not.toBe(first.port)
    expect(await client.get(KEY)).toBe('kept')

    // Until the first one has been told that it is none any more, the client may still write to it.
    await set.whole()
    await set.cutOff()
    expect(await client.set(KEY, 'lost')).toBe('OK')
    await second.kill()
    const third = await set.failOver()
    expect(third.port).not.toBe(second.port)
    expect(await client.get(KEY)).toBe('kept')
    client.disconnect()
  }
  expect(pids.filter(pid => pid !== undefined && isAlive(pid))).toEqual([])
})
