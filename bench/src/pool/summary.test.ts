/** What is made of the rounds, and when a number counts as reached. */

import { describe, expect, it } from 'vitest'
import type { PoolContenderName } from './contenders/index.js'
import type { Faults, LeaseRound, QueryRound } from './results.js'
import { nameOf, summarizeLeases, summarizeQueries } from './summary.js'
import { targetsOf } from './targets.js'

function lease(contender: PoolContenderName, callers: number, round: number, cpuNs: number): LeaseRound {
  return { contender, callers, round, cpuNs, leases: 1_000 }
}

function query(contender: PoolContenderName, round: number, perSecond: number, wrong = 0): QueryRound {
  const latencyMs = { p50: 1_000 / perSecond, p99: 2_000 / perSecond, p999: 3, max: 4 }
  return {
    contender,
    callers: 1,
    setting: {},
    round,
    answered: 1,
    perSecond,
    cpuUs: 10,
    latencyMs,
    latencyHistogram: '',
    wrong,
    errors: round,
    errorMessages: {},
  }
}

function faults(recovered: readonly (number | null)[], backends: number): Faults {
  return {
    contender: 'breakwater',
    failing: { queries: 3, refused: 3, connections: 1, ms: 1 },
    restarts: recovered.map(recoveredMs => ({ recoveredMs, asked: 10, errors: 1, errorMessages: {} })),
    forcedEnd: { running: 3, settled: 3, ended: true, backends },
  }
}

const none = { leases: [], queries: [], faults: [] }

describe('the summary', () => {
  it('compares a contender with pg.Pool in the same round, and only where both had as many callers', () => {
    const summary = summarizeLeases([
      lease('pg.Pool', 1, 1, 1_000),
      lease('breakwater', 1, 1, 500),
      lease('breakwater', 1, 2, 600),
      lease('pg.Pool', 1, 2, 2_000),
      lease('pg.Pool', 100, 1, 9_000),
      lease('tarn', 100, 1, 18_000),
      lease('tarn', 100, 2, 1),
    ])
    expect(summary).toEqual([
      { contender: 'pg.Pool', callers: 1, cpuNs: { value: { median: 1_500, min: 1_000, max: 2_000 } } },
      {
        contender: 'breakwater',
        callers: 1,
        cpuNs: { value: { median: 550, min: 500, max: 600 }, ratio: { median: 0.4, min: 0.3, max: 0.5 } },
      },
      { contender: 'pg.Pool', callers: 100, cpuNs: { value: { median: 9_000, min: 9_000, max: 9_000 } } },
      {
        contender: 'tarn',
        callers: 100,
        cpuNs: { value: { median: 9_000.5, min: 1, max: 18_000 }, ratio: { median: 2, min: 2, max: 2 } },
      },
    ])
  })

  it('takes the medians of all figures, and adds up errors and wrong rows', () => {
    const rounds = [query('pg.Pool', 1, 100), query('breakwater', 1, 200, 3), query('breakwater', 2, 400, 4)]
    expect(summarizeQueries(rounds)[1]).toMatchObject({
      perSecond: { value: { median: 300 }, ratio: { median: 2 } },
      p50: { value: { median: 3.75 }, ratio: { median: 0.5 } },
      p99: { value: { median: 7.5 } },
      cpuUs: { ratio: { median: 1 } },
      wrong: 7,
      errors: 3,
    })
  })

  it('compares with pg.Pool where it had the same setting, and with no other', () => {
    const far = (round: QueryRound): QueryRound => ({ ...round, setting: { addedMs: 1, connections: 2 } })
    const rounds = [query('pg.Pool', 1, 100), query('breakwater', 1, 200)]
    const summary = summarizeQueries([...rounds, ...rounds.map(far).map(each => ({ ...each, perSecond: 50 }))])
    expect(summary.map(({ setting, perSecond }) => [nameOf(setting), perSecond.ratio?.median])).toEqual([
      ['', undefined],
      ['', 2],
      [', +1 ms, 2 connections', undefined],
      [', +1 ms, 2 connections', 1],
    ])
  })
})

describe('a number to reach', () => {
  const leases = (ns: number) => summarizeLeases([lease('pg.Pool', 1, 1, 1_000), lease('breakwater', 1, 1, ns)])
  const queries = (perSecond: number) =>
    summarizeQueries([query('pg.Pool', 1, 1_000), query('breakwater', 1, perSecond)])

  it('is met at the limit and not met behind it', () => {
    const met = (measured: object) => targetsOf({ ...none, ...measured }).map(each => each.met)
    expect([...met({ leases: leases(700) }), ...met({ leases: leases(701) })]).toEqual([true, false])
    expect([...met({ queries: queries(1_000) }), ...met({ queries: queries(999) })]).toEqual([true, false])
    expect(met({ faults: [faults([1_000], 0)] })).toEqual([true, true])
    expect(met({ faults: [faults([1_001], 1)] })).toEqual([false, false])
  })

  it('counts the slowest of several restarts, and none at all as never', () => {
    const recovery = (...recovered: (number | null)[]) => targetsOf({ ...none, faults: [faults(recovered, 0)] })[0]
    expect(recovery(20, 300, 0)).toMatchObject({ measured: 300, met: true })
    expect(recovery(20, null, 0)).toMatchObject({ measured: null, met: false })
  })

  it('is left out if it was not measured, and never taken from another contender or number of callers', () => {
    expect(targetsOf(none)).toEqual([])
    const others = [lease('pg.Pool', 1, 1, 1), lease('tarn', 1, 1, 1), lease('pg.Pool', 100, 1, 1)]
    expect(targetsOf({ ...none, leases: summarizeLeases([...others, lease('breakwater', 100, 1, 1)]) })).toEqual([])
  })
})
