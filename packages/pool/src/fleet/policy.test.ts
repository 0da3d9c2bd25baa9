/** What a member does about what it sees, and when it looks again. */

import { describe, expect, it } from 'vitest'
import { decide, nextLookMs } from './policy.js'

const self = { id: 1, held: 2, demand: 8 }
const other = { id: 2, held: 8, demand: 8 }

describe('a member', () => {
  it('claims what is its own and free, and waits for what others have to give up', () => {
    const members = [self, other]
    expect(decide({ members, held: 10, ceiling: 10 }, self)).toEqual({ share: 5, claim: 0, isWaiting: true })
    expect(decide({ members, held: 9, ceiling: 10 }, self)).toEqual({ share: 5, claim: 1, isWaiting: true })
    expect(decide({ members, held: 7, ceiling: 10 }, self)).toEqual({ share: 5, claim: 3, isWaiting: false })
    expect(decide({ members, held: 12, ceiling: 10 }, self)).toEqual({ share: 5, claim: 0, isWaiting: true })
  })

  it('claims no more than it has use for, and goes by what it knows itself', () => {
    const members = [
      { ...self, demand: 8 },
      { ...other, demand: 1, held: 1 },
    ]
    expect(decide({ members, held: 3, ceiling: 10 }, { ...self, demand: 3 })).toMatchObject({ claim: 1 })
    expect(decide({ members, held: 3, ceiling: 10 }, { ...self, held: 8 })).toEqual({
      share: 8,
      claim: 0,
      isWaiting: false,
    })
  })

  it('looks rarely in a large fleet, sooner if it waits, and hardly ever if it has nothing to give', () => {
    const calm = { isWaiting: false, mayGive: true }
    expect([8, 20, 100, 1_000].map(members => nextLookMs(members, calm, 0.5))).toEqual([500, 500, 2_500, 10_000])
    expect(nextLookMs(8, { ...calm, isWaiting: true }, 0.5)).toBe(250)
    expect(nextLookMs(8, { ...calm, mayGive: false }, 0.5)).toBe(5_000)
    expect(nextLookMs(8, calm, 0)).toBeLessThan(nextLookMs(8, calm, 0.99))
  })
})
