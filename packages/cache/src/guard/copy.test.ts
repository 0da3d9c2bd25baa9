import { FakeClock } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import { Copy } from './copy.js'
import { Filter, shapeFor } from './filter.js'

function setUp() {
  const clock = new FakeClock()
  const shape = shapeFor(100, 0.001)
  return { clock, copy: new Copy({ id: 'e', shape }, new Filter(shape), 3, clock) }
}

describe('a copy', () => {
  it('is believed from the moment that it has heard of all that was recorded when Redis agreed', () => {
    const { clock, copy } = setUp()
    copy.grant(clock.now(), 500, 5)
    expect(copy.believedMs).toBe(0)
    copy.hear(4, 'four')
    expect(copy.believedMs).toBe(0)
    copy.hear(5, 'five')
    expect(copy.believedMs).toBe(500)
    expect(copy.has('five')).toBe(true)
  })

  it('goes on being believed when that is prolonged in time, and has to hear again when it is not', async () => {
    const { clock, copy } = setUp()
    copy.grant(clock.now(), 500, 3)
    await clock.advance(400)
    copy.grant(clock.now(), 500, 7)
    expect(copy.believedMs).toBe(500)
    await clock.advance(500)
    expect(copy.believedMs).toBe(0)
    copy.grant(clock.now(), 500, 7)
    expect(copy.believedMs).toBe(0)
  })

  it('is never believed again when it has missed an add', () => {
    const { clock, copy } = setUp()
    copy.grant(clock.now(), 500, 3)
    expect(copy.hear(3, 'known')).toBe(true)
    expect(copy.hear(5, 'five')).toBe(false)
    expect(copy.isRevoked).toBe(true)
    copy.grant(clock.now(), 500, 3)
    expect(copy.believedMs).toBeLessThanOrEqual(0)
  })
})
