/** The division that every member makes for itself. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allocate, type Member } from './allocate.js'

function members(...facts: [demand: number, held: number][]): Member[] {
  return facts.map(([demand, held], at) => ({ id: at + 1, demand, held }))
}

const anyMember = fc.record({ demand: fc.nat(20), held: fc.nat(20) })
const anyFleet = fc
  .array(anyMember, { minLength: 1, maxLength: 40 })
  .map(facts => facts.map((fact, at) => ({ id: at + 1, ...fact })))

describe('allocate', () => {
  it('gives everyone what it asks for while there is enough', () => {
    expect(allocate(members([3, 0], [5, 0], [1, 0]), 15)).toEqual([3, 5, 1])
  })

  it('gives those who ask for little all of it, and the rest of what is short in equal parts', () => {
    expect(allocate(members([1, 0], [9, 0], [9, 0]), 11)).toEqual([1, 5, 5])
  })

  it('counts everyone as asking for one', () => {
    expect(allocate(members([0, 0], [20, 10]), 10)).toEqual([1, 9])
  })

  it('leaves what nobody asks for with those who have it', () => {
    expect(allocate(members([1, 6], [2, 2]), 10)).toEqual([6, 2])
    expect(allocate(members([1, 6], [7, 4]), 10)).toEqual([3, 7])
  })

  it('gives what does not divide to whoever holds most, so that nothing moves without need', () => {
    expect(allocate(members([5, 2], [5, 3], [5, 2]), 7)).toEqual([2, 3, 2])
  })

  it('leaves those who hold one with it when there are fewer than members', () => {
    expect(allocate(members([5, 0], [5, 1], [5, 1]), 2)).toEqual([0, 1, 1])
  })

  it('never gives out more than there is, and wastes nothing that is asked for', () => {
    fc.assert(
      fc.property(anyFleet, fc.nat(100), (fleet, ceiling) => {
        const shares = allocate(fleet, ceiling)
        const total = shares.reduce((sum, share) => sum + share, 0)
        const wanted = fleet.reduce((sum, { demand }) => sum + Math.max(1, demand), 0)
        expect(total).toBeLessThanOrEqual(ceiling)
        expect(total).toBeGreaterThanOrEqual(Math.min(wanted, ceiling))
      }),
    )
  })

  it('is fair: whoever gets less than it asks for gets at most one less than any other', () => {
    fc.assert(
      fc.property(anyFleet, fc.nat(100), (fleet, ceiling) => {
        const shares = allocate(fleet, ceiling)
        const short = shares.filter((share, at) => share < Math.max(1, fleet[at]?.demand ?? 0))
        if (short.length === 0) return
        expect(Math.min(...short)).toBeGreaterThanOrEqual(Math.max(...shares) - 1)
      }),
    )
  })

  it('settles: once everyone holds its share, the same division gives the same shares', () => {
    fc.assert(
      fc.property(anyFleet, fc.nat(100), (fleet, ceiling) => {
        const shares = allocate(fleet, ceiling)
        const settled = fleet.map((member, at) => ({ ...member, held: shares[at] as number }))
        expect(allocate(settled, ceiling)).toEqual(shares)
      }),
    )
  })
})
