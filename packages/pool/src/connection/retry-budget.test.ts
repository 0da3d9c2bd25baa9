/** How many second tries there are. */

import { FakeClock } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import { RetryBudget } from './retry-budget.js'

const taken = (budget: RetryBudget): number => {
  let count = 0
  while (budget.take()) count++
  return count
}

describe('the retry budget', () => {
  it('has three for a pool that has run nothing, and three more after ten seconds, not more', async () => {
    const clock = new FakeClock()
    const budget = new RetryBudget(clock)
    expect(taken(budget)).toBe(3)
    await clock.advance(3_400)
    expect(taken(budget)).toBe(1)
    await clock.advance(86_400_000)
    expect(taken(budget)).toBe(3)
  })

  it('has one for each five queries, a hundred at most', () => {
    const budget = new RetryBudget(new FakeClock())
    taken(budget)
    for (let i = 0; i < 50; i++) budget.count()
    expect(taken(budget)).toBe(10)
    for (let i = 0; i < 100_000; i++) budget.count()
    expect(taken(budget)).toBe(100)
  })
})
