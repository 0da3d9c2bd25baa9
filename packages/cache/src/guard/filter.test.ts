import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { byteLengthOf, Filter, redisOffsets, shapeFor } from './filter.js'

describe('Filter', () => {
  it('holds the error rate that it was sized for, and never denies a key it holds', () => {
    for (const errorRate of [0.01, 0.001]) {
      const filter = new Filter(shapeFor(50_000, errorRate))
      for (let i = 0; i < 50_000; i++) filter.add(String(i * 7))
      let denied = 0
      for (let i = 0; i < 50_000; i++) if (!filter.has(String(i * 7))) denied++
      expect(denied).toBe(0)
      let passed = 0
      const asked = 400_000
      for (let i = 0; i < asked; i++) if (filter.has(`absent-${i}`)) passed++
      // 400,000 draws: three standard deviations are 5 % at 1 % and 15 % at 0.1 %.
      expect(passed / asked / errorRate).toBeGreaterThan(0.8)
      expect(passed / asked / errorRate).toBeLessThan(1.2)
    }
  })

  it('puts its bits where Redis counts them', () => {
    const shape = shapeFor(100, 0.01)
    const filter = new Filter(shape)
    filter.add('a key')
    const bytes = filter.chunk(0)
    expect(bytes.length).toBe(byteLengthOf(shape))
    const bitsSet = [...bytes].flatMap((byte, i) =>
      [...Array(8).keys()].filter(bit => byte & (0x80 >> bit)).map(bit => i * 8 + bit),
    )
    expect(bitsSet).toEqual([...new Set(redisOffsets('a key', shape))].sort((a, b) => a - b))
  })

  it('has the keys of the filter that its chunks came from, and no others', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { maxLength: 50 }), keys => {
        const shape = shapeFor(100, 0.01)
        const [from, to] = [new Filter(shape), new Filter(shape)]
        for (const key of keys) from.add(key)
        to.setChunk(0, from.chunk(0))
        for (const key of keys) expect(to.has(key)).toBe(true)
        expect([...to.chunk(0)]).toEqual([...from.chunk(0)])
      }),
      { numRuns: 50 },
    )
  })
})
