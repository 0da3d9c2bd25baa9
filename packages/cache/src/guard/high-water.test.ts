import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isAbove } from './high-water.js'

describe('isAbove', () => {
  it('compares whole numbers by value, whatever their length and sign', () => {
    fc.assert(
      fc.property(fc.bigInt(), fc.bigInt(), (a, b) => {
        expect(isAbove(String(a), String(b))).toBe(a > b)
      }),
    )
  })

  it('compares all else by its units, as ULIDs and UUIDv7 sort', () => {
    expect(isAbove('01J9ZZZZZZ', '01J9ZZZZZY')).toBe(true)
    expect(isAbove('01J9ZZZZZX', '01J9ZZZZZY')).toBe(false)
    expect(isAbove('01J9ZZZZZY', '01J9ZZZZZY')).toBe(false)
  })
})
