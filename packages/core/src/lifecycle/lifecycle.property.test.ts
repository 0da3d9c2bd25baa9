/** Whatever the graph and whatever its hooks do (fail, hang, come late), the lifecycle's rules hold: checked on random ones. */

import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { HookPhase } from '../timeline/record.js'
import { CONSUMER_HOOKS } from './component.js'
import { type Call, type PartPlan, play, scenario } from './scenario.fixture.js'

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code
const isDefined = <T>(value: T | undefined): value is T => value !== undefined

it('keeps its rules over random graphs with random failures and hangs', async () => {
  // So that the rules are not kept for want of anything to keep them in.
  const met = {
    ...{ failedInit: 0, calledOff: 0, fineInit: 0, recovered: 0 },
    ...{ lateStop: 0, forced: 0, incomplete: 0, fineDispose: 0 },
    ...{ workWaitedFor: 0, workLeft: 0, workRefused: 0, committedInPeace: 0 },
  }
  await fc.assert(
    fc.asyncProperty(scenario, async given => {
      const { clock, lifecycle, calls, work, init, dispose, initSettledFirst, cancelled } = await play(given)
      const find = (name: string, phase: HookPhase) =>
        calls.findLast(call => call.name === name && call.phase === phase)
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
        const { hooks, optional, consumer } = given.parts[i] as PartPlan
        const ownCalls = calls.filter(call => call.name === name)
        const [start, ready, stop] = (['start', 'ready', 'stop'] as const).map(each => find(name, each))
        const intakeHooks: HookPhase[] = consumer ? [...CONSUMER_HOOKS] : ['drain']
        const intake = intakeHooks.map(each => find(name, each))

        // On the way down each hook at most once; on the way up again only after a failure, of what is optional.
        for (const phase of [...intakeHooks, 'stop'] as const) {
          expect(ownCalls.filter(call => call.phase === phase).length).toBeLessThanOrEqual(1)
        }
        for (const phase of ['start', 'ready'] as const) {
          const tries = ownCalls.filter(call => call.phase === phase)
          if (!optional) expect(tries.length).toBeLessThanOrEqual(1)
          tries.slice(1).forEach((later, n) => {
            const earlier = tries[n] as Call
            expect(earlier.ended < later.began && !earlier.succeeded).toBe(true)
          })
          if (tries.length > 1 && tries.at(-1)?.succeeded) met.recovered++
        }

        // Stop if, and only if, start succeeded, however late; what ends the intake as ready, unless too late.
        const hasStarted = start?.succeeded ?? (hooks.start.does === 'nothing' && wasReached(name))
        const stuck = ready !== undefined && ready.ended === Number.POSITIVE_INFINITY
        if (hooks.stop.does !== 'nothing') expect(stop !== undefined).toBe(hasStarted && !stuck)
        for (const [n, call] of intake.entries()) {
          if (call !== undefined) expect(ready?.succeeded ?? hooks.ready.does === 'nothing').toBe(true)
          if (ready?.succeeded && hooks[intakeHooks[n] as HookPhase].does !== 'nothing') expect(call).toBeDefined()
        }

        // A part's hooks come in their order, and none of the way down begins beside one of the way up.
        const down = [...intake, stop].filter(isDefined)
        for (const call of down) {
          for (const up of [start, ready]) if (up) expect(call.began).toBeGreaterThan(up.ended)
        }
        const began = down.map(call => call.began)
        expect(began).toEqual([...began].sort((a, b) => a - b))
        const commit = find(name, 'commit')
        if (commit !== undefined && !commit.abortedAtCall) met.committedInPeace++

        const postponed = failures.some(each => each.component === name && codeOf(each.error) === 'STOP_POSTPONED')
        if (postponed && stop) met.lateStop++
        for (const needed of needsOf(i)) {
          // Up: what a part needs was over before, well or, when optional, not.
          const firstStart = calls.find(call => call.name === name && call.phase === 'start')
          const neededStart = find(needed, 'start')
          if (firstStart && neededStart && !(given.parts[Number(needed.slice(1))] as PartPlan).optional) {
            expect(neededStart.succeeded && neededStart.ended < firstStart.began).toBe(true)
          }
          // Down: what a part needs is stopped after it, save when its own start was overdue.
          const neededStop = find(needed, 'stop')
          if (stop && neededStop && !postponed) {
            expect(stop.began).toBeLessThan(neededStop.began)
            if (stop.ended > neededStop.began) expect(ranOut(name)).toBe(true)
          }
        }

        // Nothing is stopped while work is under way, unless by force.
        for (const each of work) {
          if (each.began === undefined || !stop || stop.abortedAtCall || postponed || init.error) continue
          if (each.began < stop.began) expect(each.ended).toBeLessThan(stop.began)
          if (each.began < stop.began && each.ended < stop.began) met.workWaitedFor++
        }

        // Every error of a hook that was waited for is reported.
        for (const call of ownCalls) {
          if (call.awaitedError === undefined) continue
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

      // Work that was not over is told of; work that comes when the door is closed is not begun.
      if (failures.some(each => codeOf(each.error) === 'WORK_LEFT')) met.workLeft++
      for (const each of work) {
        if (each.began !== undefined) continue
        expect(each.cameLate).toBe(true)
        met.workRefused++
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
    { numRuns: 600 },
  )
  for (const [what, count] of Object.entries(met)) expect(count, what).toBeGreaterThan(0)
}, 120_000)
