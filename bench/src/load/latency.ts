/** Latencies in an HdrHistogram, which can be sent from process to process and added up without losing a tail. */

import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js'

/** Source: three significant digits up to 2 minutes take 100 kB. */
const SHAPE = {
  lowestDiscernibleValue: 1,
  highestTrackableValue: 120_000_000,
  numberOfSignificantValueDigits: 3,
} as const

export interface Percentiles {
  /** Ms. */
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** A distribution of latencies with microsecond resolution. */
export class Latencies {
  readonly #histogram: Histogram

  constructor(histogram: Histogram = build({ ...SHAPE, bitBucketSize: 32 })) {
    this.#histogram = histogram
  }

  /** Reads what `encode` wrote. */
  static decode(encoded: string): Latencies {
    return new Latencies(decodeFromCompressedBase64(encoded, 32))
  }

  /** Returns one distribution of everything in `parts`. */
  static merge(parts: readonly Latencies[]): Latencies {
    const merged = new Latencies()
    for (const part of parts) merged.#histogram.add(part.#histogram)
    return merged
  }

  /** @param ms 0 or more; what is above 2 minutes counts as 2 minutes. */
  record(ms: number): void {
    this.#histogram.recordValue(Math.min(Math.max(1, Math.round(ms * 1_000)), SHAPE.highestTrackableValue))
  }

  encode(): string {
    return encodeIntoCompressedBase64(this.#histogram)
  }

  percentiles(): Percentiles {
    const at = (percent: number): number => this.#histogram.getValueAtPercentile(percent) / 1_000
    return { p50: at(50), p99: at(99), p999: at(99.9), max: at(100) }
  }
}
