/** That what is measured is what was asked for: every lease acquired and released, by as many callers at once. */

import { describe, expect, it } from 'vitest'
import { measureLeases } from './lease-cost.js'

class CountingLender {
  acquired = 0
  released = 0
  /** The most callers that had asked and not yet released. */
  most = 0

  async acquire(): Promise<number> {
    const id = ++this.acquired
    this.most = Math.max(this.most, this.acquired - this.released)
    return id
  }

  release(): void {
    this.released++
  }
}

describe('measureLeases', () => {
  it.each([1, 100])('acquires and releases with %i callers at once', async callers => {
    const lender = new CountingLender()
    const { leases, cpuNs } = await measureLeases(lender, { callers, cpuMs: 5 })
    expect(lender).toMatchObject({ acquired: leases, released: leases, most: callers })
    expect(leases).toBeGreaterThanOrEqual(1_000)
    expect(cpuNs * leases).toBeGreaterThanOrEqual(5e6)
  })

  it('counts CPU time, and no time in which it waits', async () => {
    const acquire = () => new Promise(resolve => setTimeout(resolve, 100))
    const startedAt = performance.now()
    const { leases, cpuNs } = await measureLeases({ acquire, release() {} }, { callers: 1_000, cpuMs: 1 })
    const elapsedNs = (performance.now() - startedAt) * 1e6
    expect(cpuNs * leases).toBeLessThan(elapsedNs * 0.8)
  })

  it('turns the event loop meanwhile', async () => {
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    await measureLeases(new CountingLender(), { callers: 1, cpuMs: 50 })
    clearInterval(timer)
    expect(turns).toBeGreaterThan(1)
  })
})
