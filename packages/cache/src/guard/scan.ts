/** Fills a filter with every key of the table, a turn of the event loop at a time. */

import { type Clock, Deadline } from '@breakwater/kernel'
import { encodeKey } from '../keys.js'
import type { Filter } from './filter.js'
import type { Settled } from './guard.js'
import { buildTimeout } from './guard-errors.js'
import type { ResolvedGuardOptions } from './guard-options.js'

/** The event loop gets a turn when a piece of the scan has taken this long, looked at after every so many keys. */
const PIECE_MS = 2
const LOOK_EVERY = 64

export interface Scanned {
  /** Keys that the scan gave. */
  readonly entries: number
  readonly highWater: string | undefined
}

export interface ScanParts {
  readonly space: string
  readonly options: ResolvedGuardOptions
  readonly settled: Settled | undefined
  readonly clock: Clock
}

/**
 * Takes the mark, waits for the transactions that are open now, and then reads every key into `filter`. In this order: a row
 * whose add went to an earlier epoch alone is either waited for, or its key is above the mark.
 *
 * @throws {BreakwaterError} kind `timeout`, code `GUARD_BUILD_TIMEOUT`; what `scan`, `settled` and `highWater` throw.
 */
export async function fillFromTable(filter: Filter, parts: ScanParts, signal: AbortSignal): Promise<Scanned> {
  const { options, settled } = parts
  const mark = await options.highWater?.({ signal })
  if (settled !== undefined)
    await within(parts, 'older transactions to end', signal, inner => settled({ signal: inner }))
  const entries = await within(parts, 'the scan to end', signal, inner => readAll(filter, parts, inner))
  return { entries, highWater: mark === undefined || mark === null ? undefined : encodeKey(mark) }
}

async function readAll(filter: Filter, { options, clock }: ScanParts, signal: AbortSignal): Promise<number> {
  let entries = 0
  let pieceSince = clock.now()
  for await (const id of options.scan({ signal })) {
    filter.add(encodeKey(id))
    if (++entries % LOOK_EVERY > 0 || clock.now() - pieceSince < PIECE_MS) continue
    await new Promise(resolve => setImmediate(resolve))
    signal.throwIfAborted()
    pieceSince = clock.now()
  }
  signal.throwIfAborted()
  return entries
}

/** Bounds one step; past its time its own signal is aborted, so that it ends too. */
async function within<T>(
  { space, options, clock }: ScanParts,
  what: string,
  signal: AbortSignal,
  step: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const onAbort = (): void => controller.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  const deadline = new Deadline(clock, options.buildTimeoutMs)
  try {
    const work = step(controller.signal)
    work.catch(() => {})
    return await deadline.race(
      work,
      () => {
        const error = buildTimeout(space, what, deadline.elapsedMs)
        controller.abort(error)
        return error
      },
      signal,
    )
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
