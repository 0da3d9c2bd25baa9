import { expect, it } from 'vitest'
import { findStale } from './stale-reads.js'

it('finds a read of what was written over well before it was asked for, and how late it was', () => {
  const writes = [
    [1, 2, 100],
    [1, 1, 110],
  ] as const
  const reads = [
    [1, 1, 99],
    [1, 1, 149],
    [1, 1, 150],
    [1, 1, 200],
    [1, 0, 1_101],
    [1, 2, 200],
    [1, 3, 200],
    [2, 0, 200],
  ] as const
  // Read by one process, written by another; version 1 was done after version 2, and is old all the same.
  expect(
    findStale([
      { reads, writes: [] },
      { reads: [], writes },
    ]),
  ).toEqual({ stale: 3, beyondLag: 1, latestMs: 1_001 })
})
