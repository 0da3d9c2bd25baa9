/** Fixes in advance when each request arrives and what it asks for, so that no answer can delay the next question. */

import type { Id } from '../data/entity.js'
import type { Random } from './random.js'

export interface Schedule {
  /** Ms from the start, ascending. */
  readonly arrivals: Float64Array
  /** What each arrival asks for. */
  readonly ids: readonly Id[]
  /** Ms over which the arrivals are spread. */
  readonly durationMs: number
}

/**
 * Returns Poisson arrivals, as independent users make them: gaps are exponential with a mean of `1 / rate`.
 * @param rate Requests a second.
 */
export function createSchedule(rate: number, durationMs: number, random: Random, nextId: () => Id): Schedule {
  const arrivals: number[] = []
  const ids: Id[] = []
  const meanGapMs = 1_000 / rate
  for (let at = gap(meanGapMs, random); at < durationMs; at += gap(meanGapMs, random)) {
    arrivals.push(at)
    ids.push(nextId())
  }
  return { arrivals: Float64Array.from(arrivals), ids, durationMs }
}

function gap(meanMs: number, random: Random): number {
  return -Math.log(1 - random()) * meanMs
}
