/** How resources age, are validated and are replaced. */

import { beforeEach, describe, expect, it } from 'vitest'
import { outcomeOf, setUp, setUpIdle, setUpLeased, type Thing } from '../../test/engine-kit.js'
import type { Lease } from './lease.js'
import type { ResourceFactory } from './options.js'

describe('resources', () => {
  it('are destroyed after idleTimeout, down to min', async () => {
    const { pool, factory, clock } = setUp({ max: 3, min: 1, idleTimeout: '10s' })
    const all = [pool.acquire(), pool.acquire(), pool.acquire()]
    for (let i = 0; i < 3; i++) factory.make()
    for (const lease of await Promise.all(all)) lease.release()
    await clock.advance(9_999)
    expect(pool.stats().idle).toBe(3)
    await clock.advance(1)
    expect(pool.stats()).toMatchObject({ idle: 1, retired: { idle: 2 } })
  })

  it('that are used do not go idle', async () => {
    const { pool, clock } = await setUpIdle({ idleTimeout: 100 })
    for (let i = 0; i < 10; i++) {
      await clock.advance(60)
      ;(await pool.acquire()).release()
    }
    expect(pool.stats()).toMatchObject({ idle: 1, created: 1 })
  })

  it('are destroyed at maxLifetime: idle ones then, leased ones when they are released', async () => {
    const { pool, factory, clock } = setUp({ max: 2, maxLifetime: 1_000, idleTimeout: '1h' })
    const both = [pool.acquire(), pool.acquire()]
    factory.make()
    factory.make()
    const [one, two] = await Promise.all(both)
    two?.release()
    await clock.advance(1_000)
    expect(factory.destroyed).toMatchObject([{ id: 2, reason: 'lifetime' }])
    one?.release()
    expect(factory.destroyed).toMatchObject([{ id: 2 }, { id: 1, reason: 'lifetime' }])
  })

  it('are destroyed after maxUses', async () => {
    const { pool, factory } = await setUpIdle({ maxUses: 2 })
    ;(await pool.acquire()).release()
    expect(factory.destroyed).toMatchObject([{ id: 1, reason: 'lifetime' }])
  })

  it('can be retired while they are idle, whatever their place, and while they are leased', async () => {
    const { pool, factory } = setUp({ max: 3 })
    const all = [pool.acquire(), pool.acquire(), pool.acquire()]
    for (let i = 0; i < 3; i++) factory.make()
    const [one, two, three] = await Promise.all(all)
    one?.release()
    two?.release()
    pool.retire(one?.value as Thing)
    expect(factory.destroyed).toMatchObject([{ id: 1, reason: 'unhealthy' }])
    pool.retire(three?.value as Thing, 'surplus')
    expect(factory.destroyed).toHaveLength(1)
    three?.release()
    expect(factory.destroyed).toMatchObject([{ id: 1 }, { id: 3, reason: 'surplus' }])
    expect((await pool.acquire()).value).toEqual({ id: 2 })
  })
})

describe('borrow', () => {
  it('lends one that is idle, or that one, and is no use of it: neither in the figures nor for its idle time', async () => {
    const { pool, clock, leases } = await setUpLeased(2, { idleTimeout: 100 })
    for (const lease of leases) lease.release()
    const { acquired, use } = pool.stats()
    await clock.advance(99)
    const [one] = leases
    const borrowed = pool.borrow(one?.value)
    expect(borrowed?.value).toBe(one?.value)
    expect(pool.borrow(one?.value)).toBeUndefined()
    expect(pool.borrow()?.value).toEqual({ id: 2 })
    borrowed?.release()
    expect(pool.stats()).toMatchObject({ acquired, use, idle: 1, leased: 1 })
    await clock.advance(1)
    expect(pool.stats()).toMatchObject({ idle: 0, retired: { idle: 1 } })
  })

  it('goes to the next caller, or away, when it is given back', async () => {
    const { pool, factory, settle } = await setUpIdle({ max: 1 })
    const first = pool.borrow()
    const caller = outcomeOf(pool.acquire())
    first?.release()
    await settle()
    expect(caller).toMatchObject({ value: { value: { id: 1 } } })
    ;(caller.value as Lease<Thing>).release()
    pool.borrow()?.retire('surplus')
    expect(factory.destroyed).toMatchObject([{ id: 1, reason: 'surplus' }])
    expect(pool.borrow()).toBeUndefined()
  })

  it('holds no stop up once its time is over', async () => {
    const { pool, clock } = await setUpIdle()
    const borrowed = pool.borrow()
    const stopped = outcomeOf(pool.dispose({ deadline: 10 }))
    await clock.advance(10)
    expect(stopped).toHaveProperty('value')
    borrowed?.release()
    expect(pool.stats()).toMatchObject({ idle: 0, leased: 0 })
  })
})

describe('validation', () => {
  const answers: (boolean | Promise<boolean>)[] = []
  const validated: number[] = []
  beforeEach(() => {
    validated.length = 0
  })
  const factory: ResourceFactory<Thing> = {
    create: () => ({ id: 1 }),
    destroy() {},
    validate({ id }) {
      validated.push(id)
      return answers.shift() ?? true
    },
  }

  it('is asked only of what has been idle for longer than validateAfterIdle', async () => {
    const { pool, clock } = await setUpIdle({ factory, validateAfterIdle: 500 })
    await clock.advance(500)
    ;(await pool.acquire()).release()
    expect(validated).toEqual([])
    await clock.advance(501)
    expect(pool.tryAcquire()).toBeUndefined()
    ;(await pool.acquire()).release()
    expect(validated.splice(0)).toEqual([1])
  })

  it.each([
    ['false', () => false],
    ['a rejection', () => Promise.reject(new Error('validate'))],
    ['no answer', () => new Promise<boolean>(() => {})],
  ])('by %s costs the resource, not its place: the caller gets a new one', async (_, answer) => {
    const { pool, clock } = await setUpIdle({ factory, max: 1, validateTimeout: '1s' })
    await clock.advance(501)
    answers.push(answer())
    const caller = outcomeOf(pool.acquire())
    await clock.advance(1_000)
    expect(caller).toHaveProperty('value')
    expect(pool.stats()).toMatchObject({ leased: 1, created: 2, retired: { unhealthy: 1 } })
  })

  it('does not keep a caller from what is freed meanwhile, nor lose what turns out to be valid', async () => {
    const { pool, clock, settle } = await setUpIdle({ factory, max: 2 })
    const other = await pool.acquire()
    ;(await pool.acquire()).release()
    await clock.advance(501)
    let answer = (_: boolean): void => {}
    answers.push(
      new Promise(resolve => {
        answer = resolve
      }),
    )
    const caller = outcomeOf(pool.acquire())
    other.release()
    await settle()
    expect(caller).toHaveProperty('value')
    expect(pool.stats()).toMatchObject({ leased: 2, idle: 0, pending: 0 })
    answer(true)
    await settle()
    expect(pool.stats()).toMatchObject({ leased: 1, idle: 1 })
  })

  it('of what stays idle comes every keepalive, one at a time, and changes neither its age nor its turn', async () => {
    let ids = 0
    const create = (): Thing => ({ id: ++ids })
    const { pool, clock, settle } = setUp({
      factory: { ...factory, create },
      ...{ max: 3, min: 2, keepalive: '10s', idleTimeout: '35s', validateTimeout: '1s', validateAfterIdle: '1h' },
    })
    await pool.init()
    const all = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()])
    for (const lease of all.sort((a, b) => a.value.id - b.value.id)) lease.release()
    let answer = (_: boolean): void => {}
    answers.push(
      new Promise(resolve => {
        answer = resolve
      }),
    )
    await clock.advance(10_000)
    expect(validated).toEqual([1])
    expect(pool.stats()).toMatchObject({ idle: 2, leased: 1 })
    // A caller finds the one that was used last.
    const caller = pool.tryAcquire()
    expect(caller?.value).toEqual({ id: 3 })
    answer(true)
    await settle()
    caller?.release()
    await clock.advance(1_000)
    const next = pool.tryAcquire()
    expect(next?.value).toEqual({ id: 3 })
    next?.release()
    expect(validated.splice(0)).toEqual([1, 2])
    await clock.advance(23_999)
    expect(pool.stats()).toMatchObject({ idle: 3 })
    await clock.advance(1)
    expect(pool.stats()).toMatchObject({ idle: 2, retired: { idle: 1 } })
    await clock.advance(3_600_000)
    expect(pool.stats()).toMatchObject({ idle: 2, created: 3, retired: { idle: 1 } })
    expect(validated.splice(0).length).toBeGreaterThan(2 * 300)
    await pool.dispose()
    expect(clock.pendingTimers).toBe(0)
  })

  it('of what stays idle replaces what is dead before a caller comes', async () => {
    const { pool, clock } = setUp({ factory, min: 1, keepalive: '10s' })
    await pool.init()
    answers.push(false)
    await clock.advance(10_000)
    expect(pool.stats()).toMatchObject({ idle: 1, created: 2, retired: { unhealthy: 1 } })
    await pool.dispose()
  })

  it('that is under way when the pool is stopped by force holds nothing up', async () => {
    const { pool, clock } = await setUpIdle({ factory })
    await clock.advance(501)
    answers.push(new Promise(() => {}))
    const caller = outcomeOf(pool.acquire())
    const stopped = outcomeOf(pool.dispose({ deadline: 10 }))
    await clock.advance(10)
    expect(caller.error).toMatchObject({ code: 'POOL_STOPPING' })
    expect(stopped).toHaveProperty('value')
    expect(pool.stats()).toMatchObject({ leased: 0, retired: { drained: 1 } })
  })
})
