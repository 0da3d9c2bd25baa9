import { describe, expect, it } from 'vitest'
import { bestOf, sizingTargets } from './best.js'
import type { SizeRound } from './results.js'

const rounds = (...each: [perSecond: number, p99WaitMs?: number][]): SizeRound[] =>
  each.map(([perSecond, p99WaitMs]) => ({ perSecond, errors: 0, ...(p99WaitMs !== undefined && { p99WaitMs }) }))

describe('the best size', () => {
  it('is the smallest with which nearly as much is answered as with any', () => {
    const sweep = [80, 94, 96, 100, 70].map((perSecond, at) => ({ size: at + 1, rounds: rounds([perSecond]) }))
    expect(bestOf(sweep, undefined)).toBe(3)
  })

  it('is not one with which callers by chance wait for longer, by a fifth of what a use takes', () => {
    const sweep = [9, 3.1, 2.9, 1].map((waitMs, at) => ({ size: at + 1, rounds: rounds([100, waitMs]) }))
    expect(bestOf(sweep, 10)).toBe(3)
  })

  it('is told by the middle one of several rounds', () => {
    const sweep = [
      { size: 1, rounds: rounds([100, 1], [50, 90], [100, 2]) },
      { size: 2, rounds: rounds([100, 1], [100, 1], [100, 1]) },
    ]
    expect(bestOf(sweep, 10)).toBe(1)
  })
})

describe('the size that a pool finds', () => {
  it('is near enough at one off, or a fifth; and is never there where it was not in most rounds', () => {
    const found = (size: number, grownMs: number | null) => ({ ...rounds([100])[0], size, load: 1, need: 1, grownMs })
    const loads = [
      { load: 'small', sweep: [], best: 2, found: [found(3, 10), found(3, null), found(2, 20)] },
      { load: 'large', sweep: [], best: 20, found: [found(25, null), found(25, null), found(20, 20)] },
    ] as never
    expect(sizingTargets(loads).map(({ met }) => met)).toEqual([true, true, false, false])
  })
})
