/** How long statements of one shape keep a backend busy, as far as that has been seen. */

/** Of one sample in the mean. */
const WEIGHT = 1 / 8
/** A single long one may be the fault of the machine, and says no more than that it was long. */
const LONGEST_MS = 8

export class Shape {
  /** Ms, the mean of late; undefined until one has succeeded. */
  ms: number | undefined

  note(ms: number): void {
    const clipped = Math.min(ms, LONGEST_MS)
    this.ms = this.ms === undefined ? clipped : this.ms + (clipped - this.ms) * WEIGHT
  }

  /** One has kept others waiting. It takes some ten quick ones to make up for that. */
  noteStuck(): void {
    this.ms = LONGEST_MS
  }
}
