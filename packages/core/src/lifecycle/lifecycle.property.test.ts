/** Whatever the graph and whatever its hooks do (fail, hang, come late), the lifecycle's rules hold: checked on random ones. */

import type { StepContext } from '@breakwater/kernel'
import { FakeClock } from '@breakwater/testkit'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { LifecycleError } from './failure.js'
import { Lifecycle } from './lifecycle.js'
import type { StepPhase } from './timeline.js'

type Behaviour =
  | { does: 'succeed' | 'fail'; afterMs: number; heedsAbort: boolean }
  /** Lets go when it is told to, if it heeds that; else never ends. */
  | { does: 'hang'; heedsAbort: boolean }
  /** There is no such hook. */
  | { does: 'nothing' }

interface Plan {
  optional: boolean
  startTimeout: number
  stopTimeout: number
  /** Indexes of parts before this one, so that there is no cycle. */
  needs: number[]
  hooks: Record<StepPhase, Behaviour>
}

interface Scenario {
  parts: Plan[]
  /** Calls the start off by its signal. */
  abortAfterMs: number | undefined
  /** Else dispose() is called once init() has settled. */
  disposeAfterMs: number | undefined
  deadlineMs: number
  /** A second dispose(), this long after the first, and its deadline. */
  hastened: { afterMs: number; deadlineMs: number } | undefined
}

const ms = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 0, max: 400 }) },
  // Past every time-out and every grace.
  { weight: 1, arbitrary: fc.integer({ min: 4_000, max: 9_000 }) },
)
const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ does: fc.constant('succeed' as const), afterMs: ms, heedsAbort: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('fail' as const), afterMs: ms, heedsAbort: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('hang' as const), heedsAbort: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant({ does: 'nothing' as const }) },
)
const plan: fc.Arbitrary<Plan> = fc.record({
  optional: fc.boolean(),
  startTimeout: fc.integer({ min: 100, max: 1_000 }),
  stopTimeout: fc.integer({ min: 50, max: 1_000 }),
  needs: fc.array(fc.nat(5), { maxLength: 3 }),
  hooks: fc.record({ start: behaviour, ready: behaviour, drain: behaviour, stop: behaviour }),
})
const scenario: fc.Arbitrary<Scenario> = fc.record({
  parts: fc.array(plan, { minLength: 1, maxLength: 6 }),
  abortAfterMs: fc.option(fc.integer({ max: 1_500, min: 0 }), { nil: undefined, freq: 2 }),
  disposeAfterMs: fc.option(fc.integer({ max: 3_000, min: 0 }), { nil: undefined, freq: 2 }),
  deadlineMs: fc.integer({ min: 0, max: 6_000 }),
  hastened: fc.option(
    fc.record({ afterMs: fc.integer({ min: 0, max: 2_000 }), deadlineMs: fc.integer({ min: 0, max: 2_000 }) }),
    { nil: undefined, freq: 2 },
  ),
})

interface Call {
  name: string
  phase: StepPhase
  abortedAtCall: boolean
  /** Position in the order of all beginnings and endings. */
  began: number
  ended: number
  succeeded: boolean
  /** Its own error, when it was still being waited for at that moment. */
  awaitedError: Error | undefined
}

/** Runs one scenario to its very end and returns what was called and how both promises came out. */
async function play({ parts, abortAfterMs, disposeAfterMs, deadlineMs, hastened }: Scenario) {
  const clock = new FakeClock()
  const lifecycle = new Lifecycle(clock)
  const calls: Call[] = []
  let tick = 0

  const perform = async (call: Call, does: Behaviour, { signal }: StepContext): Promise<void> => {
    await new Promise<void>((resolve, reject) => {
      const letGo = (): void => reject(signal.reason)
      if ('heedsAbort' in does && does.heedsAbort) {
        if (signal.aborted) return letGo()
        signal.addEventListener('abort', letGo)
      }
      if (does.does === 'succeed') clock.schedule(does.afterMs, resolve)
      if (does.does === 'fail') clock.schedule(does.afterMs, () => reject(new Error(`${call.name} ${call.phase}`)))
    }).then(
      () => {
        call.ended = tick++
        call.succeeded = true
      },
      error => {
        call.ended = tick++
        const step = lifecycle.timeline().steps.findLast(each => each.name === call.name && each.phase === call.phase)
        if (error !== signal.reason && step?.outcome === 'running') call.awaitedError = error
        throw error
      },
    )
  }
  parts.forEach(({ optional, startTimeout, stopTimeout, needs, hooks }, i) => {
    const name = `p${i}`
    const hook = (phase: StepPhase) => {
      const does = hooks[phase]
      if (does.does === 'nothing') return {}
      return {
        [phase]: (context: StepContext) => {
          const abortedAtCall = context.signal.aborted
          const call: Call = {
            name,
            phase,
            abortedAtCall,
            began: tick++,
            ended: Number.POSITIVE_INFINITY,
            succeeded: false,
            awaitedError: undefined,
          }
          calls.push(call)
          return perform(call, does, context)
        },
      }
    }
    const dependsOn = i === 0 ? [] : [...new Set(needs.map(each => `p${each % i}`))]
    const phases = { ...hook('start'), ...hook('ready'), ...hook('drain'), ...hook('stop') }
    lifecycle.add({ name, dependsOn, optional, startTimeout, stopTimeout, ...phases })
  })

  const outcome = (promise: Promise<void>) => {
    const begun = clock.now()
    const settled: { error?: LifecycleError; atMs?: number } = {}
    promise.then(
      () => Object.assign(settled, { atMs: clock.now() - begun }),
      error => Object.assign(settled, { error, atMs: clock.now() - begun }),
    )
    return settled
  }
  const controller = new AbortController()
  if (abortAfterMs !== undefined) clock.schedule(abortAfterMs, () => controller.abort())
  const init = outcome(lifecycle.init({ signal: controller.signal }))
  await clock.advance(disposeAfterMs ?? 60_000)
  const initSettledFirst = init.atMs !== undefined
  const dispose = outcome(lifecycle.dispose({ deadline: deadlineMs }))
  if (hastened !== undefined) {
    await clock.advance(hastened.afterMs)
    void lifecycle.dispose({ deadline: hastened.deadlineMs }).catch(() => {})
  }
  await clock.advance(60_000)
  return { clock, lifecycle, calls, init, dispose, initSettledFirst, cancelled: controller.signal.aborted }
}

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code

it('keeps its rules over random graphs with random failures and hangs', async () => {
  // So that the rules are not kept for want of anything to keep them in.
  const met = { failedInit: 0, calledOff: 0, fineInit: 0, lateStop: 0, forced: 0, incomplete: 0, fineDispose: 0 }
  await fc.assert(
    fc.asyncProperty(scenario, async given => {
      const { clock, lifecycle, calls, init, dispose, initSettledFirst, cancelled } = await play(given)
      const find = (name: string, phase: StepPhase) => calls.find(call => call.name === name && call.phase === phase)
      const names = given.parts.map((_, i) => `p${i}`)
      const needsOf = (i: number) => (i === 0 ? [] : (given.parts[i] as Plan).needs.map(each => `p${each % i}`))

      const failures = [...(init.error?.failures ?? []), ...(dispose.error?.failures ?? [])]

      // Everything settles, dispose() within its deadline, and no timer is left.
      expect(init.atMs).toBeDefined()
      const { deadlineMs, hastened } = given
      const hastenedMs = hastened ? hastened.afterMs + hastened.deadlineMs : Number.POSITIVE_INFINITY
      expect(dispose.atMs).toBeLessThanOrEqual(Math.min(deadlineMs, hastenedMs))
      expect(clock.pendingTimers).toBe(0)
      expect(lifecycle.timeline().steps.filter(step => step.outcome === 'running')).toEqual([])

      for (const [i, name] of names.entries()) {
        const { hooks, optional } = given.parts[i] as Plan
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
          if (start && neededStart && !(given.parts[Number(needed.slice(1))] as Plan).optional) {
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
