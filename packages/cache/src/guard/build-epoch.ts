/** Builds a new epoch of the shared bits from the table. Section 4 of the essay in bloom-guard.ts. */

import { type Clock, pause } from '@breakwater/kernel'
import { TRUST_IN_REDIS_MS } from './answers.js'
import { Filter } from './filter.js'
import type { GuardSurroundings } from './guard.js'
import { buildLost } from './guard-errors.js'
import type { ResolvedGuardOptions } from './guard-options.js'
import { fillFromTable } from './scan.js'
import { BUILD_LEASE_MS, type Epoch, type Header, type SharedBits } from './shared-bits.js'
import { shapeToBuild } from './sizing.js'

/** An instance that has been overdue for this long is given up, and the filter built anew. */
export const FORGET_MS = 10_000

/**
 * Opens an epoch in the place of the one that `known` names, fills it and makes it the one that answers. Resolves with the
 * number of keys, or `undefined` when another instance is at it already, or has been.
 */
export async function buildEpoch(
  shared: SharedBits,
  options: ResolvedGuardOptions,
  { space, settled, clock }: GuardSurroundings,
  known: Header | undefined,
  signal: AbortSignal,
): Promise<number | undefined> {
  const replaced = known?.epoch
  const shape = shapeToBuild(options, known?.entries ?? 0)
  const epoch = await shared.begin(shape, replaced, TRUST_IN_REDIS_MS, FORGET_MS)
  if (epoch === undefined) return undefined
  const renewing = new AbortController()
  const renewed = keepRenewing(shared, epoch, clock, renewing.signal)
  try {
    const filter = new Filter(epoch.shape)
    const { entries, highWater } = await fillFromTable(filter, { space, settled, clock, options }, signal)
    if (!(await shared.finish(epoch, filter, entries, highWater))) throw buildLost(space)
    if (replaced !== undefined) await shared.remove(replaced).catch(() => {})
    return entries
  } catch (error) {
    await shared.abandon(epoch).catch(() => {})
    throw error
  } finally {
    renewing.abort()
    await renewed
  }
}

async function keepRenewing(shared: SharedBits, epoch: Epoch, clock: Clock, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await pause(clock, BUILD_LEASE_MS / 3, signal)
    } catch {
      return
    }
    await shared.renew(epoch).catch(() => {})
  }
}
