/** How the results read. */

import { describe, expect, it } from 'vitest'
import type { PoolContenderName } from './contenders/index.js'
import type { Compared, Faults, LeaseRound, PoolResults } from './results.js'
import { summarizeLeases } from './summary.js'
import { formatPoolTables, formatPoolVerdicts } from './table.js'

const empty: PoolResults = {
  leases: { rounds: [], summary: [] },
  queries: { rounds: [], summary: [] },
  faults: [],
  targets: [],
}

function cellsOf(table: string | undefined): string[][] {
  const lines = (table ?? '').split('\n').filter(line => line.startsWith('│'))
  return lines.map(line =>
    line
      .split('│')
      .slice(1, -1)
      .map(cell => cell.trim()),
  )
}

describe('the tables', () => {
  it('have a row for each contender, with what its figure is of pg.Pool’s', () => {
    const round = (contender: PoolContenderName, round: number, cpuNs: number): LeaseRound => ({
      contender,
      round,
      cpuNs,
      callers: 1,
      leases: 1,
    })
    const rounds = [
      round('pg.Pool', 1, 2_000),
      round('tarn', 1, 4_000),
      round('pg.Pool', 2, 1_000),
      round('tarn', 2, 4_000),
    ]
    const [table] = formatPoolTables({ ...empty, leases: { rounds, summary: summarizeLeases(rounds) } })
    expect(cellsOf(table).slice(1)).toEqual([
      ['idle connection', 'pg.Pool', '1,500 (1,000 to 2,000)', ''],
      ['', 'tarn', '4,000', '3.00 (2.00 to 4.00)x'],
    ])
  })

  it('give a query’s figures with their ratios, and what went wrong', () => {
    const compared = (median: number, ratio?: number): Compared => {
      const spread = (of: number) => ({ median: of, min: of / 2, max: of * 2 })
      return { value: spread(median), ...(ratio !== undefined && { ratio: spread(ratio) }) }
    }
    const figures = {
      perSecond: compared(6_000, 1.5),
      p50: compared(0.5, 0.25),
      p99: compared(20, 1),
      p999: compared(30, 0.5),
      cpuUs: compared(41, 0.8),
    }
    const summary = [{ contender: 'breakwater' as const, callers: 1_000, setting: {}, ...figures, errors: 3, wrong: 2 }]
    const results = { ...empty, queries: { rounds: [], summary } }
    const cells = [
      '',
      'breakwater',
      '6,000',
      '1.50 (0.75 to 3.00)x',
      '0.50 (0.25x)',
      '20.0 (1.00x)',
      '30.0 (0.50x)',
      '41 (0.80x)',
      '3',
      '2',
    ]
    expect(cellsOf(formatPoolTables(results)[0])[1]).toEqual(cells)
    expect(formatPoolVerdicts(results)).toEqual(['pool: breakwater gave 2 rows that differ from the table'])
  })

  it('have a column for each contender’s faults, and say what never came', () => {
    const faults = (contender: PoolContenderName, connections: number, recoveredMs: number | null): Faults => ({
      contender,
      failing: { queries: 3_000, refused: 3_000, connections, ms: 50 },
      restarts: [
        { recoveredMs: 5, asked: 100, errors: 40, errorMessages: {} },
        { recoveredMs, asked: 100, errors: 60, errorMessages: {} },
      ],
      forcedEnd: { running: 3, settled: 0, ended: false, backends: 0 },
    })
    const [table] = formatPoolTables({ ...empty, faults: [faults('pg.Pool', 3_000, 7), faults('breakwater', 9, null)] })
    const rows = cellsOf(table)
    expect(rows[0]).toEqual(['fault', 'pg.Pool', 'breakwater', 'vs pg.Pool'])
    expect(rows).toContainEqual(['- connections opened for them', '3,000', '9', '0.003x'])
    expect(rows).toContainEqual(['- of them failed', '40, 60', '40, 60', ''])
    expect(rows).toContainEqual(['- ms from its return to the first answer', '5, 7', '5, never', ''])
    expect(rows).toContainEqual(['- backends left after 300 ms', '0', '0', ''])
  })

  it('are left out for what was not measured', () => {
    expect(formatPoolTables(empty)).toEqual([])
  })
})

describe('the verdicts', () => {
  it('say whether a number was reached, and never round one that was missed to its limit', () => {
    const range = { median: 0.9981, min: 0.9, max: 1.1 }
    const lines = formatPoolVerdicts({
      ...empty,
      targets: [
        { what: 'speed', measured: 0.9981, range, atLeast: 1, met: false },
        { what: 'ms', measured: 71.25, atMost: 1_000, met: true },
        { what: 'ms', measured: null, atMost: 1_000, met: false },
      ],
    })
    expect(lines).toEqual([
      'pool: speed: 0.998 (0.9 to 1.1), NOT met (1 or more)',
      'pool: ms: 71.25, met (1000 or less)',
      'pool: ms: never, NOT met (1000 or less)',
    ])
  })

  it('name what ended the comparison early', () => {
    expect(formatPoolVerdicts({ ...empty, failure: 'no power' })).toEqual(['pool: ended early: no power'])
  })
})
