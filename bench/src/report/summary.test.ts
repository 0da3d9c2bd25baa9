/** What is made of the rounds, and how it reads. */

import { describe, expect, it } from 'vitest'
import type { ContenderName } from '../contenders/index.js'
import type { Results, Round } from './results.js'
import { spread } from './spread.js'
import { summarize } from './summary.js'
import { formatTable, formatVerdicts } from './table.js'

function round(contender: ContenderName, number: number, databaseQps: number, wrong = 0): Round {
  const times = { p50: databaseQps / 10, p99: 2, p999: 3, max: 4 }
  return {
    contender,
    round: number,
    seconds: 3,
    databaseQueries: 3 * databaseQps,
    databaseQps,
    requestsPerSecond: 1_000,
    asked: 3_000,
    answered: 3_000,
    wrong,
    errors: number,
    errorMessages: {},
    cpuMs: 100,
    latencyMs: times,
    latenessMs: times,
    latencyHistogram: '',
  }
}

const rounds = [
  round('baseline', 1, 100),
  round('breakwater', 1, 1),
  round('breakwater', 2, 4),
  round('baseline', 2, 200),
  round('baseline', 3, 300),
  round('breakwater', 3, 30),
]

describe('spread', () => {
  it('gives the middle value, or the mean of the two in the middle, between the least and the greatest', () => {
    expect(spread([30, 4, 10])).toEqual({ median: 10, min: 4, max: 30 })
    expect(spread([4, 100, 2, 8])).toEqual({ median: 6, min: 2, max: 100 })
    expect(spread([7])).toEqual({ median: 7, min: 7, max: 7 })
  })
})

describe('summarize', () => {
  it('compares each round with the baseline of the same round', () => {
    const [baseline, breakwater] = summarize(rounds)
    expect(baseline).toMatchObject({ contender: 'baseline', databaseQps: { median: 200, min: 100, max: 300 } })
    expect(baseline).not.toHaveProperty('reduction')
    expect(breakwater).toMatchObject({ contender: 'breakwater', databaseQps: { median: 4 }, errors: 6 })
    expect(breakwater?.reduction).toEqual({ median: 0.98, min: 0.9, max: 0.99 })
  })

  it('compares nothing where the baseline did not ask the database or did not finish', () => {
    const [, breakwater] = summarize([round('baseline', 1, 0), round('breakwater', 1, 1), round('breakwater', 2, 1)])
    expect(breakwater).not.toHaveProperty('reduction')
    expect(summarize([])).toEqual([])
  })
})

describe('the printed results', () => {
  const print = (of: readonly Round[], more: object = {}) => {
    const scenario = {
      name: 'storm',
      shows: '',
      rate: 1,
      instances: 2,
      ttlMs: 1,
      rounds: of,
      summary: summarize(of),
      ...more,
    }
    const results = { scenarios: [scenario] } as unknown as Results
    return { table: formatTable(results), verdicts: formatVerdicts(results) }
  }

  it('has a row for each contender with the change of DB QPS and its range', () => {
    const lines = print(rounds).table.split('\n')
    expect(lines.find(line => line.includes('storm'))).toMatch(/storm +│ baseline +│ 200 \(100 to 300\) │ +│/)
    expect(lines.find(line => line.includes('breakwater'))).toMatch(
      /│ +4 \(1 to 30\) │ -98\.0 % \(-90\.0 % to -99\.0 %\) │/,
    )
  })

  it('says whether the number to reach was reached, by Breakwater alone', () => {
    const all = [...rounds, round('caching-nulls', 1, 100)]
    expect(print(all, { expectedReduction: 0.95 }).verdicts).toEqual([
      'storm: breakwater -98.0 % DB QPS, as expected (-95.0 % or more)',
    ])
    expect(print(rounds, { expectedReduction: 0.99 }).verdicts[0]).toContain('NOT as expected')
  })

  it('names wrong answers and what ended a scenario early', () => {
    const { verdicts } = print([...rounds, round('baseline', 4, 1, 17)], { failure: 'no power' })
    expect(verdicts).toEqual([
      'storm: ended early: no power',
      'storm: baseline gave 17 answers that differ from the table',
    ])
  })
})
