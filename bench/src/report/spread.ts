/** A figure that was measured several times: its median, between the least and the greatest. */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** @param values At least one. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (place: number): number => sorted[place] ?? Number.NaN
  const last = sorted.length - 1
  return { median: (at(Math.floor(last / 2)) + at(Math.ceil(last / 2))) / 2, min: at(0), max: at(last) }
}
