/** A lifecycle on a clock that the test moves, and parts that leave a trace of what was done to them. */

import type { Logger, StepContext } from '@breakwater/kernel'
import { FakeClock } from '@breakwater/testkit'
import { expect } from 'vitest'
import type { BuiltInComponent } from './component.js'
import type { LifecycleError } from './failure.js'
import { Lifecycle } from './lifecycle.js'

export let clock: FakeClock
export let lifecycle: Lifecycle
/** What happened, in order: `a+` began the start of `a`, `a.` ended it; `a-` began its stop, `a_` ended it. */
export let seen: string[]

/** Makes everything new; for `beforeEach`. */
export function setStage(logger?: Logger): void {
  clock = new FakeClock()
  lifecycle = new Lifecycle(clock, logger)
  seen = []
}

export function forgetSeen(): void {
  seen = []
}

export const after = (ms: number): Promise<void> => new Promise(resolve => clock.schedule(ms, resolve))
export const failAfter = async (ms: number, message: string): Promise<never> => {
  await after(ms)
  throw new Error(message)
}
export const never = (): Promise<never> => new Promise(() => {})
export const untilAborted = ({ signal }: Pick<StepContext, 'signal'>): Promise<never> =>
  new Promise((_, reject) => {
    const letGo = (): void => reject(signal.reason)
    if (signal.aborted) letGo()
    else signal.addEventListener('abort', letGo)
  })

/** Returns a part whose start and stop take `ms` and are seen. */
export function part(
  name: string,
  dependsOn: string[] = [],
  ms = 10,
  rest: Partial<BuiltInComponent> = {},
): BuiltInComponent {
  return {
    name,
    dependsOn,
    start: async () => {
      seen.push(`${name}+`)
      await after(ms)
      seen.push(`${name}.`)
    },
    stop: async () => {
      seen.push(`${name}-`)
      await after(ms)
      seen.push(`${name}_`)
    },
    ...rest,
  }
}

export function add(...components: BuiltInComponent[]): void {
  for (const each of components) lifecycle.add(each)
}

export interface Outcome {
  settled: boolean
  error?: LifecycleError
  /** Ms from when it was asked for. */
  atMs?: number
}

/** Takes what a promise comes to, when it comes to it. */
export function outcomeOf(promise: Promise<unknown>): Outcome {
  const outcome: Outcome = { settled: false }
  const begun = clock.now()
  const settle = (error?: LifecycleError): void => {
    Object.assign(outcome, { settled: true, atMs: clock.now() - begun, ...(error && { error }) })
  }
  promise.then(() => settle(), settle)
  return outcome
}

/** Starts what was added, and forgets what was seen of it. */
export async function started(): Promise<void> {
  const init = outcomeOf(lifecycle.init())
  await clock.advance(1_000)
  expect(init).toMatchObject({ settled: true })
  expect(init.error).toBeUndefined()
  forgetSeen()
}
