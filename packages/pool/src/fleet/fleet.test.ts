/** Several instances, one small server: nobody is refused, everybody gets a share, and what one needs others give up. */

import { eventually } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import type { Instance } from '../../test/fleet-instance.js'
import { USABLE, useInstances, useSmallServer } from '../../test/fleet-kit.js'
import { leisurelyClock } from '../../test/leisurely-clock.js'
import { learn } from '../../test/sharing-kit.js'
import type { PoolConfig } from '../pool-options.js'

const small = useSmallServer()
/** Two are kept free, and the test itself is one of the server's other users. */
const CEILING = USABLE - 2 - 1
/** Generous: the machine may be busy with other tests. */
const WITHIN_MS = 15_000

function held(instances: readonly Instance[]): number {
  return instances.reduce((sum, each) => sum + each.held, 0)
}

describe('a fleet', { timeout: 60_000 }, () => {
  it('of eight that start together and want all has the budget and no more, and each its part of it', async () => {
    const watch = await small.watch()
    const instances = useInstances(8, { connectionString: small.url })
    for (const each of instances) each.load(10)
    await eventually(() => {
      expect(held(instances)).toBe(CEILING)
      for (const each of instances) expect([1, 2]).toContain(each.held)
    }, WITHIN_MS)
    const answered = instances.map(each => each.answered)
    await eventually(() => {
      for (const [at, each] of instances.entries()) expect(each.answered).toBeGreaterThan(answered[at] as number)
    }, WITHIN_MS)
    expect(await watch.stop()).toBeLessThanOrEqual(USABLE)
    for (const each of instances) expect(each.pool.stats().fleet).toMatchObject({ refused: 0, members: 8 })
    expect(instances.flatMap(each => each.errors)).toEqual([])
  })

  it('follows demand: who needs little gives up what others need, and gets it back when it needs it', async () => {
    const [one, other] = useInstances(2, { connectionString: small.url, max: 20 }) as [Instance, Instance]
    one.load(20)
    await eventually(() => expect(one.held).toBe(CEILING), WITHIN_MS)
    other.load(4)
    await eventually(() => expect([one.held, other.held]).toEqual([CEILING - 4, 4]), WITHIN_MS)
    one.load(0)
    other.load(20)
    await eventually(() => expect(other.held).toBeGreaterThanOrEqual(CEILING - 2), WITHIN_MS)
    expect(one.held).toBeGreaterThanOrEqual(0)
    one.load(20)
    await eventually(() => {
      expect(one.held).toBeGreaterThanOrEqual(CEILING / 2 - 1)
      expect(other.held).toBeGreaterThanOrEqual(CEILING / 2 - 1)
    }, WITHIN_MS)
    expect([...one.errors, ...other.errors]).toEqual([])
  })

  it('leaves a connection that nobody else needs where it is', async () => {
    const [one, other] = useInstances(2, { connectionString: small.url, idleTimeoutMillis: 0 }) as [Instance, Instance]
    one.load(6)
    await eventually(() => expect(one.held).toBe(6), WITHIN_MS)
    one.load(0)
    other.load(2)
    await eventually(() => expect(other.held).toBe(2), WITHIN_MS)
    const { looks } = one.pool.stats().fleet ?? { looks: 0 }
    await eventually(() => expect(one.pool.stats().fleet?.looks).toBeGreaterThan(looks + 2), WITHIN_MS)
    expect(one.held).toBe(6)
  })

  it('has its connection still when its share falls to one while another is on its way', async () => {
    let [opened, mayOpen] = [0, (): void => undefined]
    const opening = new Promise<void>(resolve => {
      mayOpen = resolve
    })
    const onConnect = (): unknown => (++opened > 1 ? opening : undefined)
    const options = { connectionString: small.url, fleet: { namespace: 'two', keepFree: USABLE - 1 - 2 } }
    const [one] = useInstances(1, { ...options, onConnect } as PoolConfig) as [Instance]
    one.load(1)
    await eventually(() => expect(one.held).toBe(1), WITHIN_MS)
    one.load(3)
    await eventually(() => expect(opened).toBe(2), WITHIN_MS)
    const [other] = useInstances(1, options) as [Instance]
    other.load(3)
    await eventually(() => expect([one.share, other.held]).toEqual([1, 1]), WITHIN_MS)
    const { answered } = one
    await eventually(() => expect(one.answered).toBeGreaterThan(answered + 5), WITHIN_MS)
    expect(one.pool.stats()).toMatchObject({ created: 1, creating: 0, retired: { surplus: 0 }, fleet: { held: 1 } })
    mayOpen()
    expect([...one.errors, ...other.errors]).toEqual([])
  })

  it('asks for another connection for those who share one that has no time left, though none of them waits', async () => {
    const [one] = useInstances(1, { connectionString: small.url, pipeline: true, clock: leisurelyClock }) as [Instance]
    await learn(one.pool, { text: 'select pg_sleep($1)', values: [0.001] })
    expect(one.held).toBe(1)
    one.load(100, 1)
    await eventually(() => expect(one.held).toBeGreaterThanOrEqual(2), WITHIN_MS)
    expect(one.errors).toEqual([])
  })

  it('counts the connections of others, and gives way to them', async () => {
    const [one] = useInstances(1, { connectionString: small.url, max: 20 }) as [Instance]
    one.load(20)
    await eventually(() => expect(one.held).toBe(CEILING), WITHIN_MS)
    const [stranger] = useInstances(1, { connectionString: small.url, max: 2, fleet: false }) as [Instance]
    stranger.load(2)
    await eventually(() => expect(one.held).toBe(CEILING - 2), WITHIN_MS)
    expect([...one.errors, ...stranger.errors]).toEqual([])
  })

  it('keeps to the limit of its role, which it shares with that role alone', async () => {
    const url = small.url.replace('//app@', '//narrow@')
    const instances = useInstances(2, { connectionString: url, fleet: { keepFree: 1 } })
    for (const each of instances) each.load(5)
    await eventually(() => expect(instances.map(each => each.held)).toEqual([2, 2]), WITHIN_MS)
    // Who is on his way in is a stranger to the others for a moment, and is taken off.
    await eventually(() => {
      for (const each of instances) expect(each.pool.stats().fleet).toMatchObject({ ceiling: 4, members: 2 })
    }, WITHIN_MS)
    expect(instances.flatMap(each => each.errors)).toEqual([])
  })

  it('shares nothing with another namespace but the server', async () => {
    const [one] = useInstances(1, { connectionString: small.url, fleet: { namespace: 'a' } }) as [Instance]
    const [other] = useInstances(1, { connectionString: small.url, fleet: { namespace: 'b' } }) as [Instance]
    one.load(3)
    other.load(3)
    await eventually(() => expect([one.held, other.held]).toEqual([3, 3]), WITHIN_MS)
    await eventually(
      () => expect(one.pool.stats().fleet).toMatchObject({ members: 1, ceiling: CEILING - 3 }),
      WITHIN_MS,
    )
  })

  it('lets one instance with few in that holds only what it has use for, and gives back what was kept for it', async () => {
    const [one] = useInstances(1, { connectionString: small.url }) as [Instance]
    const clients = await Promise.all(Array.from({ length: 3 }, () => one.pool.connect()))
    const callers = Array.from({ length: 5 }, () => one.pool.connect())
    await eventually(() => expect(one.held).toBe(8), WITHIN_MS)
    for (const client of [...clients, ...(await Promise.all(callers))]) client.release()
    await eventually(async () => {
      const locks = await small.query<{ pid: number; slot: number }>(
        "select pid, objid as slot from pg_locks where locktype = 'advisory' and objsubid = 2 and objid < 1000",
      )
      // Every connection holds one slot, and no two the same.
      expect(new Set(locks.map(({ slot }) => slot)).size).toBe(8)
      expect(new Set(locks.map(({ pid }) => pid)).size).toBe(8)
      expect(locks).toHaveLength(8)
    }, WITHIN_MS)
  })
})
