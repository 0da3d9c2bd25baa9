/** Measures for how long at a time the event loop was busy with one thing. */

/** Between two looks, in ms: what is shorter is not seen. */
const LOOK_MS = 1

export class BlockMeter {
  #longestMs = 0
  #peakBytes: number
  #lastAt = performance.now()
  readonly #idleBytes: number
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#idleBytes = process.memoryUsage.rss()
    this.#peakBytes = this.#idleBytes
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  /** Ends the measurement. */
  stop(): { blockedMs: number; memoryBytes: number } {
    clearInterval(this.#timer)
    this.#look()
    return { blockedMs: this.#longestMs, memoryBytes: this.#peakBytes - this.#idleBytes }
  }

  #look(): void {
    const now = performance.now()
    this.#longestMs = Math.max(this.#longestMs, now - this.#lastAt - LOOK_MS)
    this.#lastAt = now
    this.#peakBytes = Math.max(this.#peakBytes, process.memoryUsage.rss())
  }
}
