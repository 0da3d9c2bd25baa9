import { expect, it } from 'vitest'
import { countStale } from './stale-reads.js'

it('counts a read of what was written over well before it was asked for, and no other', () => {
  const writes = [
    [1, 2, 100],
    [1, 1, 110],
  ] as const
  const reads = [
    [1, 1, 99],
    [1, 1, 149],
    [1, 1, 150],
    [1, 1, 200],
    [1, 2, 200],
    [1, 3, 200],
    [2, 0, 200],
  ] as const
  // Read by one process, written by another; version 1 was done after version 2, and is old all the same.
  expect(
    countStale([
      { reads, writes: [] },
      { reads: [], writes },
    ]),
  ).toBe(2)
})
