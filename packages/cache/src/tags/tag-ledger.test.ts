import { describe, expect, it } from 'vitest'
import { MOST_TAGS } from './tag-clock.js'
import { TagLedger } from './tag-ledger.js'

describe('TagLedger', () => {
  it('knows of what was deleted since it is kept, and of nothing before', () => {
    const ledger = new TagLedger()
    expect(ledger.stand(['a'], 9, '5-0')).toBe(false)
    ledger.caughtUp(5, '5-0')
    expect(ledger.stand(['a'], 4, '5-0')).toBe(false)
    expect(ledger.stand(['a'], 5, '5-0')).toBe(true)
    ledger.delete('a', 6, '6-0')
    expect(ledger.stand(['a'], 5, '6-0')).toBe(false)
    expect(ledger.stand(['a'], 6, '6-0')).toBe(true)
    expect(ledger.stand(['b'], 5, '6-0')).toBe(true)
    expect(ledger.stand(['b', 'a'], 5, '6-0')).toBe(false)
  })

  it('says nothing while it has not heard of the last deletion, or has heard of one that is not there any more', () => {
    const ledger = new TagLedger()
    ledger.caughtUp(5, '5-0')
    expect(ledger.stand(['a'], 5, '6-0')).toBe(false)
    ledger.delete('b', 6, '6-0')
    expect(ledger.stand(['a'], 5, '5-0')).toBe(false)
  })

  it('begins anew where something was missed', () => {
    const ledger = new TagLedger()
    ledger.caughtUp(5, '5-0')
    ledger.delete('a', 6, '6-0')
    ledger.missed(8)
    expect(ledger.stand(['b'], 8, '6-0')).toBe(false)
    ledger.delete('c', 9, '9-0')
    expect(ledger.stand(['b'], 8, '9-0')).toBe(true)
    expect(ledger.stand(['b'], 7, '9-0')).toBe(false)
    ledger.missed(Number.NaN)
    ledger.delete('c', Number.NaN, '10-0')
    expect(ledger.stand(['b'], 20, '10-0')).toBe(false)
  })

  it('remembers so many tags, and doubts what is older than those it has forgotten', () => {
    const ledger = new TagLedger()
    ledger.caughtUp(0, '')
    for (let i = 1; i <= MOST_TAGS + 1; i++) ledger.delete(`tag ${i}`, i, `${i}-0`)
    const last = `${MOST_TAGS + 1}-0`
    expect(ledger.stand(['other'], 0, last)).toBe(false)
    expect(ledger.stand(['other'], 1, last)).toBe(true)
    expect(ledger.stand([`tag ${MOST_TAGS}`], 1, last)).toBe(false)
  })
})
