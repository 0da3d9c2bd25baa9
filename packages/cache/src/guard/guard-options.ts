/** Options of a guard: checked all at once, with defaults, in milliseconds. */

import { type Duration, Faults, parseDuration } from '@breakwater/kernel'
import type { CacheKey } from '../keys.js'

/** Given to what reads the table for a guard. */
interface ScanContext {
  readonly signal: AbortSignal
}

export interface BloomGuardOptions {
  /**
   * Yields every key that exists, in the forms that `get` is called with; called by the one instance that builds. Read the
   * table in pages or by a cursor: a million rows need no more memory than a page.
   */
  scan: (context: ScanContext) => AsyncIterable<CacheKey> | Iterable<CacheKey>
  /** Keys to hold, 1 to 100 million. When there are more, the filter is built anew and larger. */
  expected: number
  /** Part of absent keys that are let through, more than 0 and less than 1. Default 0.01. */
  errorRate?: number
  /**
   * For keys that grow (bigserial, snowflakes, ULIDs, UUIDv7): returns the mark above which every key is let through, so that
   * rows inserted by anybody need no `add`. Asked before each scan. Leave room for keys that are handed out before it and
   * used after it, such as a sequence's cache: `SELECT max(id) - 1000 FROM users`. Default: none.
   */
  highWater?: (context: ScanContext) => Promise<CacheKey | null> | CacheKey | null
  /** The filter is built anew when it is older than this, 1 s or more, so that deleted rows leave it. Default one day; Infinity for never. */
  rebuildEvery?: Duration
  /** Longest time that a build may wait for older transactions to end, and may scan, each. Default 10 minutes. */
  buildTimeout?: Duration
}

export interface ResolvedGuardOptions {
  readonly scan: BloomGuardOptions['scan']
  readonly expected: number
  readonly errorRate: number
  readonly highWater: BloomGuardOptions['highWater']
  readonly rebuildEveryMs: number
  readonly buildTimeoutMs: number
}

/** The most that a filter is sized for. */
export const MOST_EXPECTED = 1e8

/** @throws {BreakwaterError} kind `usage`, code `GUARD_OPTIONS_INVALID`, naming every fault. */
export function resolveGuardOptions(options: BloomGuardOptions): ResolvedGuardOptions {
  const { scan, expected, errorRate = 0.01, highWater, rebuildEvery = '1d', buildTimeout = '10m' } = options
  const rebuildEveryMs = parseDuration(rebuildEvery)
  const buildTimeoutMs = parseDuration(buildTimeout)
  const faults = new Faults()
  faults.unknownKeys(options, ['scan', 'expected', 'errorRate', 'highWater', 'rebuildEvery', 'buildTimeout'])
  faults.check(typeof scan === 'function', 'scan must be a function that yields keys')
  faults.check(
    Number.isInteger(expected) && expected >= 1 && expected <= MOST_EXPECTED,
    `expected must be a whole number of 1 to 100 million, not ${expected}`,
  )
  faults.check(errorRate > 0 && errorRate < 1, `errorRate must be more than 0 and less than 1, not ${errorRate}`)
  faults.check(
    highWater === undefined || typeof highWater === 'function',
    'highWater must be a function that returns a key',
  )
  faults.check(
    rebuildEveryMs !== undefined && rebuildEveryMs >= 1_000,
    `rebuildEvery must be a duration of 1 s or more, not ${String(rebuildEvery)}`,
  )
  faults.check(
    buildTimeoutMs !== undefined && buildTimeoutMs >= 1,
    `buildTimeout must be a duration of 1 ms or more, not ${String(buildTimeout)}`,
  )
  faults.throwIfAny('GUARD_OPTIONS_INVALID', 'bloomGuard')
  return {
    scan,
    expected,
    errorRate,
    highWater,
    rebuildEveryMs: rebuildEveryMs as number,
    buildTimeoutMs: buildTimeoutMs as number,
  }
}
