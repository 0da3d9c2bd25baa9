import { describe, expect, it } from 'vitest'
import { TagClock } from './tag-clock.js'

describe('TagClock', () => {
  it('says of a value whether one of its tags was deleted since', () => {
    const clock = new TagClock()
    const before = clock.tick
    clock.delete('a')
    expect(clock.stand(['a', 'b'], before)).toBe(false)
    expect(clock.stand(['b'], before)).toBe(true)
    expect(clock.stand(['a'], clock.tick)).toBe(true)
  })

  it('remembers so many tags, and doubts what is older than those it has forgotten', () => {
    const clock = new TagClock(2)
    const start = clock.tick
    clock.delete('a')
    const afterA = clock.tick
    clock.delete('b')
    clock.delete('c')
    expect(clock.stand(['other'], start)).toBe(false)
    expect(clock.stand([], start)).toBe(true)
    expect(clock.stand(['other'], afterA)).toBe(true)
    expect(clock.stand(['b'], afterA)).toBe(false)
    expect(clock.stand(['a', 'b', 'c'], clock.tick)).toBe(true)
  })
})
