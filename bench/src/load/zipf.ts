/** Draws ranks as real traffic does: rank k is asked for in proportion to 1 / k^s. */

import type { Random } from './random.js'

/** The skew of YCSB's default workload. Source: Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", 2010. */
const SKEW = 0.99

/**
 * Returns a function that draws a rank from 0 (the most asked for) to `size - 1`, exactly distributed: it looks a
 * uniform number up in the table of cumulative weights.
 */
export function createZipf(size: number, random: Random, skew: number = SKEW): () => number {
  const cumulative = new Float64Array(size)
  let total = 0
  for (let rank = 0; rank < size; rank++) {
    total += 1 / (rank + 1) ** skew
    cumulative[rank] = total
  }
  return () => {
    const wanted = random() * total
    let low = 0
    let high = size - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((cumulative[middle] as number) > wanted) high = middle
      else low = middle + 1
    }
    return low
  }
}
