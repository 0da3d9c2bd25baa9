/** Measures for how long at a time the event loop was busy with one thing, and how much memory was held at most. */

/** Between two looks, in ms: what is shorter is not seen. */
const LOOK_MS = 1

export class BlockMeter {
  #longestMs = 0
  #peakBytes: number
  #lastAt = performance.now()
  #lastCpu = process.cpuUsage()
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

  /** A gap in which the process was given no CPU is the machine's, not the event loop's: the lesser of both counts. */
  #look(): void {
    const now = performance.now()
    const cpu = process.cpuUsage()
    const cpuMs = (cpu.user + cpu.system - this.#lastCpu.user - this.#lastCpu.system) / 1_000
    this.#longestMs = Math.max(this.#longestMs, Math.min(now - this.#lastAt, cpuMs))
    this.#lastAt = now
    this.#lastCpu = cpu
    this.#peakBytes = Math.max(this.#peakBytes, process.memoryUsage.rss())
  }
}
