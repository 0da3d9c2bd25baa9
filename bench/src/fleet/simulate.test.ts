/** The rule by which a fleet shares, with a hundred members. */

import { expect, it } from 'vitest'
import { simulate } from './simulate.js'

it('settles after every change, is fair, and never holds more than there is', async () => {
  const { ceiling, most, phases } = await simulate(100, 1, new AbortController().signal)
  expect(most).toBe(ceiling)
  for (const { settledMs, fairness, looksASecondAtRest } of phases) {
    expect(settledMs).toBeLessThan(10_000)
    expect(fairness).toBeGreaterThan(0.98)
    expect(looksASecondAtRest).toBeLessThan(60)
  }
})
