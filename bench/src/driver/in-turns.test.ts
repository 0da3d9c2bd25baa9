/** That nobody is measured beside another, and nobody always first. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { inTurns } from './in-turns.js'

it('visits one lane at a time, each once a round, in the reverse order every other round', async () => {
  const visits: string[] = []
  let atOnce = 0
  await inTurns(['a', 'b', 'c'], 3, async (lane, round) => {
    expect(++atOnce).toBe(1)
    visits.push(`${lane}${round}`)
    await nextTurn()
    atOnce--
  })
  expect(visits.join(' ')).toBe('a1 b1 c1 c2 b2 a2 a3 b3 c3')
})
