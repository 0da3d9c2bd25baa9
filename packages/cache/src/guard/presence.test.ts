import { describe, expect, it } from 'vitest'
import { Presence, STAY_MS } from './presence.js'

describe('what Redis believes of an instance', () => {
  it('is not known, and nothing is asked for, before Redis has said what time it is', () => {
    const presence = new Presence()
    expect(presence.ask(1_000)).toBeUndefined()
    expect(presence.lapsesInMs(1_000)).toBeUndefined()
  })

  it('ends for certain only when the server’s time, taken for as early as it may be, is past the last instant asked for', () => {
    const presence = new Presence()
    // Asked at 1,000, read by the server at its 50,000, known here at 1,100.
    presence.replied(1_000, 1_100, 50_000, undefined)
    const until = presence.ask(1_200) as number
    // The server's time is 50,200 at the latest.
    expect(until).toBe(50_200 + STAY_MS)
    presence.replied(1_200, 1_210, 50_150, true)
    // At 1,210 it is 50,150 at the earliest.
    expect(presence.lapsesInMs(1_210)).toBe(until - 50_150)
    expect(presence.lapsesInMs(1_210 + (until - 50_150))).toBe(0)
  })

  it('counts what was asked for and never answered: it may still be read', () => {
    const presence = new Presence()
    presence.replied(0, 0, 50_000, undefined)
    presence.ask(0)
    presence.replied(0, 0, 50_000, true)
    const unanswered = presence.ask(2_000) as number
    expect(presence.lapsesInMs(2_000)).toBe(unanswered - 52_000)
  })

  it('is over with the header that it stood in', () => {
    const presence = new Presence()
    presence.replied(0, 0, 50_000, undefined)
    presence.ask(0)
    presence.replied(0, 0, 50_000, true)
    presence.replied(0, 0, 50_001, false)
    expect(presence.lapsesInMs(0)).toBe(Number.POSITIVE_INFINITY)
  })
})
