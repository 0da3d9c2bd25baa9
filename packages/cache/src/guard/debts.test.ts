/** Adds that Redis has not acknowledged. */

import { eventually, FakeClock } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import { Debts } from './debts.js'

const MOST = 5

/** Debts towards a Redis that answers only when the test says so. */
function setUp() {
  const clock = new FakeClock()
  const controller = new AbortController()
  const creditor = {
    answers: false,
    told: [] as string[],
    losses: 0,
    opensAt: (clock.now() + 3_000) as number | undefined,
    async record(key: string) {
      if (!creditor.answers) throw new Error('Redis does not answer')
      creditor.told.push(key)
    },
    async lost() {
      if (!creditor.answers) throw new Error('Redis does not answer')
      creditor.losses++
    },
    opensInMs: () => (creditor.opensAt === undefined ? undefined : creditor.opensAt - clock.now()),
  }
  return { clock, controller, creditor, debts: new Debts('row', creditor, clock, controller.signal, MOST) }
}

/** What a promise has come to so far. */
async function stateOf(promise: Promise<void>): Promise<string> {
  const settled = promise.then(
    () => 'resolved',
    (error: { code: string }) => error.code,
  )
  return Promise.race([settled, new Promise<string>(resolve => setImmediate(() => resolve('pending')))])
}

describe('an add that is owed', () => {
  it('resolves when Redis has it, and is owed no more', async () => {
    const { clock, creditor, debts } = setUp()
    const taken = debts.take('a')
    await clock.advance(1_000)
    expect(await stateOf(taken)).toBe('pending')
    expect(debts).toMatchObject({ size: 1, none: false })
    creditor.answers = true
    await clock.advance(500)
    expect(await stateOf(taken)).toBe('resolved')
    expect(creditor.told).toEqual(['a'])
    expect(debts).toMatchObject({ size: 0, none: true })
    expect(clock.pendingTimers).toBe(0)
  })

  it('resolves without Redis once every guard is open, at once for those who come later, and is told all the same', async () => {
    const { clock, creditor, debts } = setUp()
    const taken = debts.take('a')
    await clock.advance(2_999)
    expect(await stateOf(taken)).toBe('pending')
    await clock.advance(1)
    expect(await stateOf(taken)).toBe('resolved')
    expect(await stateOf(debts.take('b'))).toBe('resolved')
    expect(creditor.told).toEqual([])
    creditor.answers = true
    await clock.advance(500)
    expect(creditor.told).toEqual(['a', 'b'])
  })

  it('waits on when the guards open later than was thought', async () => {
    const { clock, creditor, debts } = setUp()
    const taken = debts.take('a')
    await clock.advance(2_000)
    creditor.opensAt = clock.now() + 2_000
    await clock.advance(1_999)
    expect(await stateOf(taken)).toBe('pending')
    await clock.advance(1)
    expect(await stateOf(taken)).toBe('resolved')
  })

  it('is refused at once when Redis never was reached, and nobody would know that it is owed', async () => {
    const { creditor, debts } = setUp()
    creditor.opensAt = undefined
    expect(await stateOf(debts.take('a'))).toBe('GUARD_ADD_UNACKNOWLEDGED')
    expect(debts.size).toBe(1)
  })

  it('has some time when Redis has forgotten this instance', async () => {
    const { clock, creditor, debts } = setUp()
    const early = debts.take('a')
    early.catch(() => {})
    creditor.opensAt = Number.POSITIVE_INFINITY
    await clock.advance(3_000)
    const late = debts.take('b')
    await clock.advance(1_000)
    expect(await stateOf(early)).toBe('GUARD_ADD_UNACKNOWLEDGED')
    expect(await stateOf(late)).toBe('pending')
    creditor.answers = true
    await clock.advance(500)
    expect(await stateOf(late)).toBe('resolved')
  })

  it('is told again with others of its key', async () => {
    const { clock, creditor, debts } = setUp()
    const all = [debts.take('a'), debts.take('a'), debts.take('b')]
    creditor.answers = true
    await clock.advance(500)
    expect(await Promise.all(all.map(stateOf))).toEqual(['resolved', 'resolved', 'resolved'])
    expect(creditor.told).toEqual(['a', 'b'])
  })

  it('is given up for a filter built anew when there are too many', async () => {
    const { clock, creditor, debts } = setUp()
    creditor.opensAt = clock.now()
    for (let i = 0; i <= MOST; i++) await debts.take(`k${i}`)
    expect(debts.size).toBeLessThanOrEqual(MOST)
    creditor.answers = true
    await clock.advance(500)
    expect(creditor).toMatchObject({ losses: 1, told: [] })
    expect(debts.none).toBe(true)
  })

  it('rejects when the guard is disposed of, and leaves no timer', async () => {
    const { clock, controller, debts } = setUp()
    const taken = debts.take('a')
    controller.abort(Object.assign(new Error('disposed of'), { code: 'GUARD_DISPOSED' }))
    expect(await stateOf(taken)).toBe('GUARD_DISPOSED')
    expect(await stateOf(debts.take('b'))).toBe('GUARD_DISPOSED')
    await eventually(() => expect(clock.pendingTimers).toBe(0))
  })
})
