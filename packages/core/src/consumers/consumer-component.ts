/** A consumer as a component: it begins to take work when everything is ready, and its hooks end that at the stop. */

import { type Duration, Faults } from '@breakwater/kernel'
import { type BuiltInComponent, CONSUMER_HOOKS, type Consumer } from '../lifecycle/component.js'

/** What a consumer may say beside its hooks. */
export interface ConsumeOptions {
  /** Default: all components that are neither servers nor consumers. */
  readonly dependsOn?: readonly string[]
  /** Bounds `start`. Default 15 s. */
  readonly startTimeout?: Duration
  /** Bounds each of the other hooks, within what is left of the whole stop. Default 10 s. */
  readonly stopTimeout?: Duration
  /** See `Component.optional`. */
  readonly optional?: boolean
  /** See `Component.enabled`. */
  readonly enabled?: boolean | (() => boolean)
}

const OPTIONS = ['dependsOn', 'startTimeout', 'stopTimeout', 'optional', 'enabled'] as const

/** @throws {BreakwaterError} kind `usage`, code `OPTION_INVALID`. */
export function consumerComponent(name: string, consumer: Consumer & ConsumeOptions): BuiltInComponent {
  const faults = new Faults()
  for (const hook of ['start', ...CONSUMER_HOOKS] as const) {
    const given = consumer[hook]
    faults.check(given === undefined || typeof given === 'function', `${hook} must be a function`)
  }
  if (Object.getPrototypeOf(consumer) === Object.prototype) {
    faults.unknownKeys(consumer, ['start', ...CONSUMER_HOOKS, ...OPTIONS])
  }
  faults.throwIfAny('OPTION_INVALID', `consumer "${name}"`)
  const options = OPTIONS.filter(key => consumer[key] !== undefined).map(key => [key, consumer[key]])
  // Called on the consumer, which may be a class that keeps its state.
  const hooks = CONSUMER_HOOKS.map(hook => [hook, (context: never) => consumer[hook]?.(context)])
  return {
    name,
    ready: context => consumer.start?.(context),
    ...Object.fromEntries(hooks),
    ...Object.fromEntries(options),
  }
}
