/** One call of the factory's `validate`, which answers in time whatever the factory does. */

import { Deadline } from '@breakwater/kernel'
import { call } from './creation.js'
import { validateTimeout } from './errors.js'
import type { ResolvedOptions } from './options.js'
import type { Slot } from './slot.js'

/** Tells whether a resource has not been known to work for so long that it must be validated before it is leased. */
export function isStale<T>(
  { factory, validateAfterIdleMs, clock }: ResolvedOptions<T>,
  { provenAt }: Slot<T>,
): boolean {
  return factory.validate !== undefined && clock.coarse() - provenAt > validateAfterIdleMs
}

/** Resolves with the factory's answer; with false when it throws, rejects, or takes too long. */
export async function isValid<T>(options: ResolvedOptions<T>, value: T): Promise<boolean> {
  const { factory, validateTimeoutMs, clock, name } = options
  const controller = new AbortController()
  const answer = call(() => factory.validate?.(value, { signal: controller.signal }) ?? true)
  try {
    return await new Deadline(clock, validateTimeoutMs).race(answer, () => validateTimeout(validateTimeoutMs, name))
  } catch (reason) {
    controller.abort(reason)
    return false
  }
}
