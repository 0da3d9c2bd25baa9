/** A map that forgets what has not been asked for lately, and so never holds more than twice its limit. */

export class TwoGenerations<V> {
  readonly #limit: number
  #young = new Map<string, V>()
  #old = new Map<string, V>()

  /** @param limit entries of one generation, from 1. */
  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: string): V | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old === undefined) return undefined
    this.#old.delete(key)
    this.set(key, old)
    return old
  }

  set(key: string, value: V): void {
    if (this.#young.size >= this.#limit) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }
}
