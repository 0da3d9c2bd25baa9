/** The scripts of the guard by themselves: whom they answer, and whom they believe. */

import { systemClock } from '@breakwater/kernel'
import { eventually, startRedis } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Instances, instancesOn } from '../instances.fixture.js'
import { Shards } from '../redis/shards.js'
import { keysOf, ready, Table, upTo } from './guarded.fixture.js'
import { SharedBits } from './shared-bits.js'

/** What one more instance of the fleet has. */
function bitsOn({ redis, namespace }: Instances, instance: string): SharedBits {
  const shards = new Shards(redis, namespace, { clock: systemClock, timeoutMs: 5_000, outboxSize: 1, replicas: 0 })
  onTestFinished(() => shards.dispose())
  return new SharedBits(shards.of('row', ''), 'row', instance, 'nobody')
}

describe('the shared bits', () => {
  it('answer on a master, and no more when that has become a replica, which may be behind', async () => {
    await using master = await startRedis({ own: true, settings: { 'repl-diskless-sync-delay': '0' } })
    await using other = await startRedis({ own: true })
    await using instances = instancesOn(master.url)
    await using readers = instancesOn(other.url, instances.namespace)
    // With its first replica a master begins another history.
    await readers.redis.replicaof(master.host, master.port)
    await eventually(async () => expect(await readers.redis.info('replication')).toContain('master_link_status:up'))
    await readers.redis.replicaof('NO', 'ONE')
    await ready(instances, new Table(upTo(100)))
    const [here, there] = [bitsOn(instances, 'i'), bitsOn(readers, 'i')]
    expect(await there.look()).toMatchObject({ state: 'none' })
    const { epoch } = await here.look()
    if (epoch === undefined) throw new Error('there are no bits')
    const ask = (bits: SharedBits) => bits.check(['1', '5000'], epoch, undefined, 0)
    await readers.redis.replicaof(master.host, master.port)
    await eventually(async () => expect(await keysOf(readers, '*:0')).toHaveLength(1))
    expect(await ask(here)).toMatchObject({ maybe: [true, false] })
    expect(await ask(there)).toBeUndefined()
  })

  it('believe a copy for two of its times at most that hears of nothing more', async () => {
    await using instances = instancesOn(testRedis().url)
    await ready(instances, new Table(upTo(100)))
    const [deaf, writer] = [bitsOn(instances, 'deaf'), bitsOn(instances, 'writer')]
    const { epoch, sequence } = await deaf.look()
    if (epoch === undefined) throw new Error('there are no bits')
    const isBelieved = async (heard: number) => (await deaf.check([], epoch, heard, 50))?.granted
    expect(await isBelieved(sequence)).toBe(true)
    await writer.add('777', await writer.look())
    expect(await isBelieved(sequence)).toBe(true)
    expect(await isBelieved(sequence)).toBe(false)
    expect(await isBelieved(sequence + 1)).toBe(true)
  })

  it('stay for good once they are complete', async () => {
    await using instances = instancesOn(testRedis().url)
    await ready(instances, new Table(upTo(100)), { expected: 1_000_000 })
    const chunks = (await keysOf(instances, '*:*')).filter(key => /:\d+$/.test(key))
    expect(chunks.length).toBeGreaterThan(1)
    for (const chunk of chunks) expect(await instances.redis.pttl(chunk)).toBe(-1)
  })
})
