/** Whatever the graph and whatever its hooks do (fail, hang, come late), the lifecycle's rules hold: checked on random ones. */

import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { StepPhase } from '../timeline/record.js'
import { type PartPlan, play, scenario } from './scenario.fixture.js'

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code

it('keeps its rules over random graphs with random failures and hangs', async () => {
  // So that the rules are not kept for want of anything to keep them in.
  const met = { failedInit: 0, calledOff: 0, fineInit: 0, lateStop: 0, forced: 0, incomplete: 0, fineDispose: 0 }
  await fc.assert(
    fc.asyncProperty(scenario, async given => {
      const { clock, lifecycle, calls, init, dispose, initSettledFirst, cancelled } = await play(given)
      const find = (name: string, phase: StepPhase) => calls.find(call => call.name === name && call.phase === phase)
      const names = given.parts.map((_, i) => `p${i}`)
      const needsOf = (i: number) => (i === 0 ? [] : (given.parts[i] as PartPlan).needs.map(each => `p${each % i}`))

      const failures = [...(init.error?.failures ?? []), ...(dispose.error?.failures ?? [])]

      // Everything settles, dispose() within its deadline, and no timer is left.
      expect(init.atMs).toBeDefined()
      const { deadlineMs, hastened } = given
      const hastenedMs = hastened ? hastened.afterMs + hastened.deadlineMs : Number.POSITIVE_INFINITY
      expect(dispose.atMs).toBeLessThanOrEqual(Math.min(deadlineMs, hastenedMs))
      expect(clock.pendingTimers).toBe(0)
      expect(lifecycle.timeline().steps.filter(step => step.outcome === 'running')).toEqual([])

      for (const [i, name] of names.entries()) {
        const { hooks, optional } = given.parts[i] as PartPlan
        const [start, ready, drain, stop] = (['start', 'ready', 'drain', 'stop'] as const).map(each => find(name, each))

        // Each hook at most once; stop if, and only if, start succeeded, however late; drain as ready, unless too late.
        expect(calls.filter(call => call.name === name)).toHaveLength(
          [start, ready, drain, stop].filter(each => each !== undefined).length,
        )
        const hasStarted = start?.succeeded ?? (hooks.start.does === 'nothing' && wasReached(name))
        const stuck = ready !== undefined && ready.ended === Number.POSITIVE_INFINITY
        if (hooks.stop.does !== 'nothing') expect(stop !== undefined).toBe(hasStarted && !stuck)
        if (drain !== undefined) expect(ready?.succeeded ?? hooks.ready.does === 'nothing').toBe(true)
        if (ready?.succeeded && hooks.drain.does !== 'nothing') expect(drain).toBeDefined()

        // A part's hooks come in their order, and none of the way down begins beside one of the way up.
        for (const down of [drain, stop]) {
          for (const up of [start, ready]) {
            if (down && up) expect(down.began).toBeGreaterThan(up.ended)
          }
        }
        if (drain && stop) expect(stop.began).toBeGreaterThan(drain.began)

        const postponed = failures.some(each => each.component === name && codeOf(each.error) === 'STOP_POSTPONED')
        if (postponed && stop) met.lateStop++
        for (const needed of needsOf(i)) {
          // Up: what a part needs was over before, well or, when optional, not.
          const neededStart = find(needed, 'start')
          if (start && neededStart && !(given.parts[Number(needed.slice(1))] as PartPlan).optional) {
            expect(neededStart.succeeded && neededStart.ended < start.began).toBe(true)
          }
          // Down: what a part needs is stopped after it, save when its own start was overdue.
          const neededStop = find(needed, 'stop')
          if (stop && neededStop && !postponed) {
            expect(stop.began).toBeLessThan(neededStop.began)
            if (stop.ended > neededStop.began) expect(ranOut(name)).toBe(true)
          }
        }

        // Every error of a hook that was waited for is reported.
        for (const call of [start, ready, drain, stop]) {
          if (call?.awaitedError === undefined) continue
          const up = call.phase === 'start' || call.phase === 'ready'
          if (up && optional) continue
          if (!up && postponed) {
            // Nobody waits any more for a stop that comes that late: it is told in the timeline and the log.
            const told = lifecycle.timeline().steps.findLast(each => each.name === name && each.phase === call.phase)
            expect(told?.outcome).toBe('failed')
            continue
          }
          expect(reported(call.awaitedError), `${call.name} ${call.phase}`).toBe(true)
        }
        if (stop?.abortedAtCall) met.forced++
      }

      function wasReached(name: string): boolean {
        return lifecycle.health().components[name]?.state !== 'idle'
      }
      function ranOut(name: string): boolean {
        return lifecycle
          .timeline()
          .steps.some(step => step.name === name && step.phase === 'stop' && step.outcome === 'timeout')
      }
      function reported(error: Error): boolean {
        return failures.some(each => each.error === error || (each.error as Error).cause === error)
      }

      // init() succeeds if, and only if, nothing that is required failed and nobody called it off.
      const upFailures = init.error?.failures.filter(each => each.phase === 'start' || each.phase === 'ready') ?? []
      if (init.error === undefined) met.fineInit++
      else if (init.error.code === 'INIT_FAILED') {
        met.failedInit++
        expect(init.error.cause).toBe(upFailures[0]?.error)
      } else {
        met.calledOff++
        expect(cancelled || !initSettledFirst).toBe(true)
      }
      if (dispose.error === undefined) met.fineDispose++
      else {
        met.incomplete++
        expect(dispose.error.failures.length).toBeGreaterThan(0)
      }
    }),
    { numRuns: 1_000 },
  )
  for (const [what, count] of Object.entries(met)) expect(count, what).toBeGreaterThan(0)
}, 60_000)
