/** What a guard rejects with. */

import { BreakwaterError } from '@breakwater/kernel'

export function disposed(space: string): BreakwaterError {
  return new BreakwaterError('rejected', 'GUARD_DISPOSED', `the guard of "${space}" has been disposed of`)
}

export function buildLost(space: string): BreakwaterError {
  return new BreakwaterError('failed', 'GUARD_BUILD_LOST', `guard of "${space}": what was built is lost`)
}

export function buildTimeout(space: string, what: string, elapsedMs: number): BreakwaterError {
  const message = `guard of "${space}": waited for ${what} for ${Math.round(elapsedMs)} ms in vain`
  return new BreakwaterError('timeout', 'GUARD_BUILD_TIMEOUT', message, { elapsedMs })
}

export function addUnacknowledged(space: string): BreakwaterError {
  const message = `guard of "${space}": Redis does not know of this instance and has not acknowledged an add; it goes on trying, but instances that do reach Redis may deny the row until then`
  return new BreakwaterError('rejected', 'GUARD_ADD_UNACKNOWLEDGED', message, { retryable: true })
}
