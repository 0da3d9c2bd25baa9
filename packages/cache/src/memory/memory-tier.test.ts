import { describe, expect, it } from 'vitest'
import { UNCONDITIONAL } from '../redis/shards.js'
import { type MemoryEntry, MemoryTier } from './memory-tier.js'

const entry = (value: string): MemoryEntry<string> => ({
  value,
  straightUntil: 1,
  freshUntil: 1,
  staleUntil: 1,
  storedAt: 0,
  loadMs: 0,
  alone: false,
  trust: UNCONDITIONAL,
  tags: [],
  tick: 0,
  resolved: undefined,
})

describe('MemoryTier', () => {
  it('keeps all spaces together within its bytes, evicting the least recently used of the heaviest', () => {
    const tier = new MemoryTier(10_000)
    const light = tier.space<string>()
    const heavy = tier.space<string>()
    light.set('kept', entry('x'), 10)
    for (let i = 0; i < 100; i++) {
      heavy.set(`k${i}`, entry('x'), 200)
      expect(tier.bytes).toBeLessThanOrEqual(10_000)
    }
    expect(light.get('kept')).toBeDefined()
    expect(heavy.get('k99')).toBeDefined()
    expect(heavy.get('k0')).toBeUndefined()
    expect(tier.evictions).toBe(101 - tier.entryCount)
  })

  it('does not keep a value that is larger than the whole tier', () => {
    const tier = new MemoryTier(1_000)
    const space = tier.space<string>()
    space.set('small', entry('x'), 10)
    // Kept, it would push all others out, and itself.
    space.set('huge', entry('x'), 700)
    expect(space.get('huge')).toBeUndefined()
    expect(space.get('small')).toBeDefined()
  })

  it('keeps nothing when it has no bytes', () => {
    const space = new MemoryTier(0).space<string>()
    space.set('k', entry('x'), 1)
    expect(space.get('k')).toBeUndefined()
  })
})
