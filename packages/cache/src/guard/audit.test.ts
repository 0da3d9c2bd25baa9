import { FakeClock } from '@breakwater/testkit'
import { expect, it } from 'vitest'
import { Audit } from './audit.js'

it('an audit takes some of the answers, and no more than five in any second', async () => {
  const clock = new FakeClock()
  const audit = new Audit(clock, () => {}, { witness: () => () => false, refuted() {} })
  const takenAt: number[] = []
  for (let ms = 0; ms < 10_000; ms += 10) {
    for (let i = 0; i < 300; i++) if (audit.denied('k', async () => null) !== undefined) takenAt.push(ms)
    await clock.advance(10)
  }
  expect(takenAt.length).toBeGreaterThan(45)
  for (const at of takenAt) expect(takenAt.filter(ms => at <= ms && ms < at + 1_000).length).toBeLessThanOrEqual(5)
  expect(audit).toMatchObject({ done: takenAt.length, falseNegatives: 0 })
})
