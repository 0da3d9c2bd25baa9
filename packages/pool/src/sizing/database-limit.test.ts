import { expect, it } from 'vitest'
import { DatabaseLimit } from './database-limit.js'

it('does not hold one or two connections for statements that seem slow, and holds more', () => {
  expect(new DatabaseLimit(2).next(2, 1.5, 100)).toBeGreaterThan(2)
  expect(new DatabaseLimit(4).next(4, 1.5, 100)).toBe(4)
})

it('does not hold a size for what statements took at another', () => {
  const limit = new DatabaseLimit(4)
  limit.next(4, 1.5, 100)
  limit.sized(6, 100)
  expect(limit.next(6, undefined, 200)).toBeGreaterThan(6)
})
