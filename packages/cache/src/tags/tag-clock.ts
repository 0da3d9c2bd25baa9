/**
 * When each tag was last deleted, as far as this process has heard, on a clock that ticks with each such deletion. A value
 * notes the tick before its reading began, and stands while none of its tags was deleted later.
 */

/** Tags known one by one; of those deleted before, it is known only that there were some. */
export const MOST_TAGS = 10_000

export class TagClock {
  /** Deletions heard. */
  tick = 0
  readonly #deletedAt = new Map<string, number>()
  /** What is older than this may have lost a tag that is known no more. */
  #floor = 0
  readonly #most: number

  constructor(most: number = MOST_TAGS) {
    this.#most = most
  }

  delete(tag: string): void {
    this.#deletedAt.delete(tag)
    this.#deletedAt.set(tag, ++this.tick)
    if (this.#deletedAt.size <= this.#most) return
    for (const [oldest, at] of this.#deletedAt) {
      this.#deletedAt.delete(oldest)
      this.#floor = at
      break
    }
  }

  /** Whether none of `tags` was deleted after tick `since`. */
  stand(tags: readonly string[], since: number): boolean {
    if (tags.length === 0) return true
    if (since < this.#floor) return false
    return tags.every(tag => (this.#deletedAt.get(tag) ?? 0) <= since)
  }
}
