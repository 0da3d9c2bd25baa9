import { FakeClock } from '@breakwater/testkit'
import { expect, it } from 'vitest'
import { Audit, type Audited } from './audit.js'

const TRUE_FOREVER: Audited = { witness: () => () => true, refuted() {} }

/** Asks for so many answers, so many ms apart; returns how many were looked up. */
async function lookedUp(answers: number, apartMs: number, random: () => number): Promise<number> {
  const clock = new FakeClock()
  const audit = new Audit({ clock, random }, () => {}, TRUE_FOREVER)
  for (let i = 0; i < answers; i++) {
    await audit.denied('k', async () => null)
    await clock.advance(apartMs)
  }
  return audit.done
}

it('an audit takes one answer in a hundred', async () => {
  let drawn = 0
  expect(await lookedUp(1_000, 200, () => (drawn++ % 100) / 100)).toBe(10)
})

it('and no more than five in any second, whatever the chance', async () => {
  expect(await lookedUp(1_000, 10, () => 0)).toBe(50)
  expect(await lookedUp(1_000, 0, () => 0)).toBe(1)
})
