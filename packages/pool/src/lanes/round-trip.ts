/** The time that a query takes whatever it asks for. */

/** Enough that one of them found both processes at leisure. */
const PINGS = 4

export class RoundTrip {
  /** Empty queries, the last few. Others do not bring it up again: they may all be slow. */
  #pings: number[] = []
  #ms = 0

  /** 0 until it is known. */
  get ms(): number {
    return this.#ms
  }

  /** An empty query took so long; when some have, what is older does not count any more: the way may have changed. */
  pinged(ms: number): void {
    this.#pings.push(ms)
    if (this.#pings.length > PINGS) this.#pings.shift()
    this.#ms = Math.min(...this.#pings)
  }

  /** Another query took so long: a round trip takes no longer. */
  note(ms: number): void {
    if (ms >= this.#ms) return
    this.#ms = ms
    this.#pings.fill(ms)
  }
}
