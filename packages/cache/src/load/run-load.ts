/** One call of a user's loader: it has a place in the miss budget, an end, and a signal that says when nobody wants it any more. */

import { BreakwaterError, Deadline } from '@breakwater/kernel'
import type { InFlight } from './in-flight.js'
import { type LoadLog, loggedLoad } from './load-log.js'
import { Lenders, type MissBudget } from './miss-budget.js'

/** A load is given up after this many hard time-outs: its place in the miss budget must come free. */
export const ABANDON_FACTOR = 3

export interface LoadBounds extends LoadLog {
  readonly budget: MissBudget
  readonly inFlight: InFlight
  readonly hardTimeoutMs: number
}

/** Whoever has asked for a load: it is told when that has its place, and tells when nobody waits any more. */
export interface LoadOwner {
  readonly whenBegun: (() => void) | undefined
  readonly lenders: Lenders
  readonly abandoned: boolean
  whenAbandoned(act: (reason: unknown) => void): void
}

/** Owns a load that no flight asked for. */
export const nobody = (): LoadOwner => ({
  whenBegun: undefined,
  lenders: new Lenders(),
  abandoned: false,
  whenAbandoned() {},
})

/**
 * Settles as `call` does, unless it is given up (kind `timeout`, code `CACHE_LOAD_ABANDONED`), aborted, refused a place, or
 * abandoned by all who own it.
 */
export function runLoad<T>(
  bounds: LoadBounds,
  owners: readonly LoadOwner[],
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { budget, inFlight } = bounds
  const deadline = new Deadline(bounds.clock, bounds.hardTimeoutMs * ABANDON_FACTOR)
  return inFlight.abortable(controller => {
    const { signal } = controller
    const onExpired = (): BreakwaterError => {
      const error = gaveUp(bounds.space, deadline)
      controller.abort(error)
      return error
    }
    for (const owner of owners) {
      owner.whenAbandoned(reason => {
        if (owners.every(other => other.abandoned)) controller.abort(reason)
      })
    }
    const begin = (): Promise<T> => {
      for (const owner of owners) owner.whenBegun?.()
      return deadline.race(
        loggedLoad(bounds, () => call(signal)),
        onExpired,
        signal,
      )
    }
    const lenders = owners.map(owner => owner.lenders)
    return budget.run(begin, deadline, signal, lenders)
  })
}

export function gaveUp(space: string, deadline: Deadline): BreakwaterError {
  const { elapsedMs } = deadline
  const message = `space "${space}": a load was given up after ${Math.round(elapsedMs)} ms`
  return new BreakwaterError('timeout', 'CACHE_LOAD_ABANDONED', message, { elapsedMs })
}
