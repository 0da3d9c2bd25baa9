/** Tells a tracing channel of each hook of a component, while it runs: what it does is in the context of its step. */

import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import type { HookPhase } from '../timeline/record.js'
import type { StepEnd } from './step.js'

/** The channels are `tracing:breakwater:lifecycle:step:start`, `:end`, `:asyncStart`, `:asyncEnd` and `:error`. */
export interface StepMessage {
  readonly component: string
  readonly phase: HookPhase
  /** Set before `asyncEnd` is told. */
  outcome?: StepEnd['outcome']
  /** Set before `error` and `asyncEnd` are told, if it did not go well. */
  error?: unknown
}

const channel: TracingChannel<StepMessage, StepMessage> = tracingChannel<StepMessage, StepMessage>(
  'breakwater:lifecycle:step',
)

/** Runs a step, which never rejects, and resolves with its end. */
export function tracedStep(message: StepMessage, run: () => Promise<StepEnd>): Promise<StepEnd> {
  if (!channel.hasSubscribers) return run()
  return new Promise(resolve => {
    const traced = async (): Promise<void> => {
      const end = await run()
      message.outcome = end.outcome
      resolve(end)
      if (end.error !== undefined) throw end.error
    }
    channel.tracePromise(traced, message).catch(() => {})
  })
}
