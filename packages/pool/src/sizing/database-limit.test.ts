import { expect, it } from 'vitest'
import { DatabaseLimit } from './database-limit.js'

it('holds a size at which statements seem slow', () => {
  expect(new DatabaseLimit(4).next(4, 1.5, 100)).toBe(4)
})

it('is moved by no time in which nothing was seen: statements that are as quick as ever are not slow after it', () => {
  const limit = new DatabaseLimit(4)
  expect(limit.next(4, 1, 3_600_000)).toBeGreaterThan(4)
  expect(limit.slowdown).toBe(1)
})

it('bounds no pool of which a part is not in use, however slow the statements are for long', () => {
  const limit = new DatabaseLimit(10)
  for (let at = 0; at < 3_000; at += 100) limit.next(5, 1, at)
  expect(limit.next(5, 1, 3_000)).toBe(Number.POSITIVE_INFINITY)
  for (let at = 3_100; at < 6_000; at += 100) expect(limit.next(5, 2, at)).toBe(10)
})

it('judges no size by the first judgement since it has changed, which is of the one before', () => {
  const limit = new DatabaseLimit(10)
  for (let at = 0; at < 2_000; at += 100) limit.next(10, 1, at)
  const at = 2_000
  limit.sized(11, at)
  expect([1, 1.6, 1.6, 1.6].map(slowdown => limit.next(11, slowdown, at))).toEqual([15, 11, 11, 8])
})
