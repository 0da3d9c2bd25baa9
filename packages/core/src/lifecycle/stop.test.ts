/** Stops that fail, hang, run out of time or are asked for twice: every hook is called once, every error is told. */

import { BreakwaterError, type StepContext } from '@breakwater/kernel'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  add,
  after,
  clock,
  failAfter,
  lifecycle,
  never,
  outcomeOf,
  part,
  seen,
  setStage,
  started,
  untilAborted,
} from './stage.fixture.js'

beforeEach(() => setStage())

describe('the stop', () => {
  it('goes on past a hook that fails, and reports every error', async () => {
    add(
      part('a', [], 1, { stop: () => failAfter(1, 'a') }),
      part('b', ['a']),
      part('c', ['b'], 1, { stop: () => failAfter(1, 'c') }),
    )
    await started()
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(100)
    expect(seen).toEqual(['b-', 'b_'])
    expect(dispose.error).toMatchObject({
      kind: 'failed',
      code: 'DISPOSE_INCOMPLETE',
      errors: [new Error('c'), new Error('a')],
    })
    expect(dispose.error?.message).toBe('dispose incomplete after 12 ms: c (stop, 1 ms: Error), a (stop, 1 ms: Error)')
  })

  it('gives a hook its own time-out, and goes on when it has let go', async () => {
    add(part('a'), part('hangs', ['a'], 1, { stop: untilAborted, stopTimeout: '2s' }))
    await started()
    const dispose = outcomeOf(lifecycle.dispose({ deadline: '25s' }))
    await clock.advance(30_000)
    expect(dispose.atMs).toBe(2_010)
    expect(dispose.error).toMatchObject({ kind: 'timeout', errors: [{ code: 'STOP_TIMEOUT', elapsedMs: 2_000 }] })
    expect(seen).toEqual(['a-', 'a_'])
  })

  it('past its deadline still calls every hook, with an aborted signal, and ends in time', async () => {
    const called: [string, boolean][] = []
    const noting = (name: string) => (context: StepContext) => {
      called.push([name, context.signal.aborted])
      return never()
    }
    for (const [name, needs] of [
      ['a', []],
      ['b', ['a']],
      ['c', ['b']],
    ] as const) {
      add(
        part(name, [...needs], 1, { drain: noting(`${name} drain`), stop: noting(`${name} stop`), stopTimeout: '1h' }),
      )
    }
    await started()
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 5_000 }))
    await clock.advance(4_500)
    expect(called).toEqual([['c drain', false]])
    await clock.advance(60_000)
    expect(called).toEqual([
      ['c drain', false],
      ...['b drain', 'a drain', 'c stop', 'b stop', 'a stop'].map(name => [name, true]),
    ])
    expect(dispose.atMs).toBeLessThanOrEqual(5_000)
    expect(dispose.error?.errors).toHaveLength(6)
    expect(dispose.error?.message).toContain('still open: c, b, a')
    expect(clock.pendingTimers).toBe(0)
  })

  it('shares out the time by force, so that one that hangs leaves some to the next', async () => {
    const forced = ({ signal }: StepContext): Promise<void> => untilAborted({ signal }).catch(() => after(50))
    add(part('a', [], 1, { stop: forced }), part('hangs', ['a'], 1, { stop: never }))
    await started()
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 5_000 }))
    await clock.advance(5_000)
    expect(dispose.error?.failures.map(each => each.component)).toEqual(['hangs'])
  })

  it('with no time at all goes by force at once', async () => {
    const signals: boolean[] = []
    add(
      part('a', [], 1, { stop: ({ signal }) => void signals.push(signal.aborted) }),
      part('hangs', ['a'], 1, { stop: never }),
    )
    await started()
    const dispose = outcomeOf(lifecycle.dispose({ deadline: 0 }))
    await clock.advance(0)
    expect(signals).toEqual([true])
    expect(dispose.error?.errors).toMatchObject([{ code: 'STOP_RUNS_ON' }])
  })

  it('happens once for all callers, and the earliest deadline of any holds', async () => {
    add(part('a', [], 1, { stop: untilAborted }))
    await started()
    const first = outcomeOf(lifecycle.dispose({ deadline: '10s' }))
    await clock.advance(1_000)
    const second = outcomeOf(lifecycle.dispose({ deadline: 1_000 }))
    const third = outcomeOf(lifecycle.dispose({ deadline: '1h' }))
    await clock.advance(1_000)
    expect(first.atMs).toBe(1_800)
    expect(second.error).toBe(first.error)
    expect(third.error).toBe(first.error)
    expect(lifecycle.timeline().steps.filter(step => step.phase === 'stop')).toHaveLength(1)
  })

  it('hastened while a hook is given time to let go gives it less', async () => {
    add(part('deaf', [], 1, { stop: never, stopTimeout: 1_000 }))
    await started()
    const dispose = outcomeOf(lifecycle.dispose())
    await clock.advance(1_100)
    void lifecycle.dispose({ deadline: 200 }).catch(() => {})
    await clock.advance(10_000)
    expect(dispose.atMs).toBe(1_300)
  })

  it('refuses a deadline that is none', async () => {
    await expect(lifecycle.dispose({ deadline: '5 seconds' as never })).rejects.toMatchObject({ kind: 'usage' })
  })

  it('without a start stops only what is held from construction on', async () => {
    add(part('held', [], 1, { heldFromConstruction: true }), part('mine', ['held']), part('bad', ['nobody']))
    await Promise.all([lifecycle.dispose(), clock.advance(10)])
    expect(seen).toEqual(['held-', 'held_'])
  })

  it('is followed by no start: that is an error', async () => {
    add(part('a'))
    await started()
    await Promise.all([lifecycle.dispose(), clock.advance(10)])
    await expect(lifecycle.init()).rejects.toMatchObject({ kind: 'usage', code: 'DISPOSED' })
    expect(() => lifecycle.add(part('b'))).toThrow(BreakwaterError)
  })
})
