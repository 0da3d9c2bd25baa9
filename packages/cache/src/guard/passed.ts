/**
 * Keys that a guard let through and that turned out not to exist. In an attack there is no end to them, one for each hundred
 * questions, and kept each would take the place of a value: so memory holds the latest of them only. Redis knows the others.
 */

const MOST_KEPT = 1_000

export class Passed {
  readonly #keys: string[] = []
  #next = 0

  /** Takes note of a key, and returns the one that is not to be kept any more. */
  add(key: string): string | undefined {
    const oldest = this.#keys[this.#next]
    this.#keys[this.#next] = key
    this.#next = (this.#next + 1) % MOST_KEPT
    return oldest
  }
}
