/** Counts failures by their message, and keeps only the first few distinct ones. */

import { describeError } from '../report/describe-error.js'

const DISTINCT = 10

export class ErrorTally {
  readonly #messages = new Map<string, number>()
  #total = 0

  get total(): number {
    return this.#total
  }

  add(error: unknown): void {
    const message = describeError(error)
    const seen = this.#messages.get(message)
    this.#total++
    if (seen !== undefined || this.#messages.size < DISTINCT) this.#messages.set(message, (seen ?? 0) + 1)
  }

  messages(): Record<string, number> {
    return Object.fromEntries(this.#messages)
  }
}
