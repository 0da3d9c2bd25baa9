/** A number to reach, and whether it was. */

import { withRange } from './format.js'
import type { Spread } from './spread.js'

export interface Target {
  /** What was measured, with its unit or what it is a multiple of. */
  readonly what: string
  /** null is never. */
  readonly measured: number | null
  /** Of the rounds whose median was measured. */
  readonly range?: Spread
  readonly atMost?: number
  readonly atLeast?: number
  readonly met: boolean
}

export function atMost(what: string, limit: number, measured: number | null, range?: Spread): Target {
  const met = measured !== null && measured <= limit
  return { what, measured, ...(range && { range }), atMost: limit, met }
}

export function atLeast(what: string, limit: number, measured: number, range?: Spread): Target {
  return { what, measured, ...(range && { range }), atLeast: limit, met: measured >= limit }
}

/** @param part What it is a number of, as the line begins. */
export function formatTarget(part: string, { what, measured, range, atMost, atLeast, met }: Target): string {
  const limit = atMost === undefined ? `${atLeast} or more` : `${atMost} or less`
  const value = measured === null ? 'never' : range ? withRange(range, formatTargeted) : formatTargeted(measured)
  return `${part}: ${what}: ${value}, ${met ? 'met' : 'NOT met'} (${limit})`
}

/** With three digits, lest a ratio of 0.998 reads as the 1 that it misses. */
function formatTargeted(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 3 })
}
