/**
 * When each tag of a shard was last deleted, by the count of its log, as far as its follower has heard. Beside `TagClock`,
 * which is for what this process holds: this is for what it reads from Redis, whose count is that of whoever stored it.
 */

import { MOST_TAGS } from './tag-clock.js'

export class TagLedger {
  /** Every deletion after this count was heard, up to the one whose entry is `#lastId`. */
  #since = Number.POSITIVE_INFINITY
  #lastId: string | undefined
  readonly #deletedAt = new Map<string, number>()

  /** Entries may have been missed: what is known begins after this count. */
  missed(sequence: number): void {
    this.#deletedAt.clear()
    this.#since = sequence
    this.#lastId = undefined
  }

  /** All that there is was heard, the last deletion of a tag among it. */
  caughtUp(sequence: number, lastId: string): void {
    if (this.#since === Number.POSITIVE_INFINITY) this.#since = sequence
    this.#lastId = lastId
  }

  delete(tag: string, sequence: number, id: string): void {
    this.#lastId = id
    this.#deletedAt.delete(tag)
    this.#deletedAt.set(tag, sequence)
    if (this.#deletedAt.size <= MOST_TAGS) return
    for (const [oldest, at] of this.#deletedAt) {
      this.#deletedAt.delete(oldest)
      this.#since = Math.max(this.#since, at)
      break
    }
  }

  /** Whether it is known that none of `tags` was deleted after `sequence`, if the last deletion of any is `lastId`. */
  stand(tags: readonly string[], sequence: number, lastId: string): boolean {
    // In this form, since a count that is no number must not pass.
    if (lastId !== this.#lastId || !(sequence >= this.#since)) return false
    return tags.every(tag => (this.#deletedAt.get(tag) ?? 0) <= sequence)
  }
}
