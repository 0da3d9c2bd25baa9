import { expect, it } from 'vitest'
import { OfferedLoad } from './offered-load.js'

/** Steps of 100 ms: four connections in use in each, and how many uses of 50 ms have ended by then. */
function holdMs(pending: number, ended: readonly number[]): number {
  const load = new OfferedLoad()
  load.see({ at: 0, alone: 4, shared: 0, pending })
  for (const [step, uses] of ended.entries()) {
    const glance = { at: (step + 1) * 100, alone: 4, shared: 0, pending }
    load.see(glance)
    load.step(glance, { uses, usedMs: uses * 50, sharedMs: 0 })
  }
  return load.holdMs
}

it('knows while callers wait that uses take longer than those of them that have ended', () => {
  // In 300 ms, of which four were in use all the time, two have ended.
  expect(holdMs(10, [0, 0, 2])).toBe(600)
})

it('goes by those that have ended where nobody waits, since what is in use is seen at some instants only', () => {
  expect(holdMs(0, [0, 0, 2])).toBe(50)
})

it('takes no pause for the time of a use', () => {
  expect(holdMs(10, [8, 16, 24, 24, 24, 24, 32, 40])).toBe(50)
})
