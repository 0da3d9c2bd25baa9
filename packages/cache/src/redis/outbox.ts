/**
 * What Redis has yet to be told: invalidations, and whatever else must not be lost, from while it could not be reached. All
 * of it is told before anything is read from Redis again.
 *
 * What is kept has to be true however late and however often it is told, in any order: a deletion is, a value is not. A
 * group that grows too long is replaced by one entry that says more than all of them ("clear the space"): nothing is ever
 * dropped. The process's end is the end of its outbox.
 */

export type Tell = () => Promise<unknown>

interface Group {
  /** By what it is about: the last of each is enough. */
  readonly entries: Map<string, Tell>
  readonly instead: Tell
}

/** Told at the same time. */
const MOST_AT_ONCE = 100

export class Outbox {
  readonly #most: number
  readonly #groups = new Map<string, Group>()

  /** @param most entries of one group, from 1. */
  constructor(most: number) {
    this.#most = most
  }

  /** Entries kept. */
  get size(): number {
    let size = 0
    for (const { entries } of this.#groups.values()) size += entries.size
    return size
  }

  get isEmpty(): boolean {
    return this.#groups.size === 0
  }

  /**
   * Keeps `tell`, in the place of what is kept of this group under the same `id`.
   *
   * @param instead takes the place of the whole group when it is too long.
   */
  keep(group: string, id: string, tell: Tell, instead: Tell): void {
    let found = this.#groups.get(group)
    if (found === undefined) {
      found = { entries: new Map(), instead }
      this.#groups.set(group, found)
    }
    const { entries } = found
    if (entries.size < this.#most || entries.has(id)) {
      entries.set(id, tell)
    } else {
      entries.clear()
      entries.set('', instead)
    }
  }

  /** Tells all, and resolves when nothing is left. Rejects with the first failure; what was not told is still kept. */
  async flush(): Promise<void> {
    while (!this.isEmpty) {
      const some = this.#some()
      const results = await Promise.allSettled(some.map(({ tell }) => tell()))
      for (const [i, { group, id, tell }] of some.entries()) {
        if (results[i]?.status === 'fulfilled') this.#forget(group, id, tell)
      }
      const failed = results.find(result => result.status === 'rejected')
      if (failed !== undefined) throw failed.reason
    }
  }

  #some(): { group: string; id: string; tell: Tell }[] {
    const some: { group: string; id: string; tell: Tell }[] = []
    for (const [group, { entries }] of this.#groups) {
      for (const [id, tell] of entries) {
        some.push({ group, id, tell })
        if (some.length === MOST_AT_ONCE) return some
      }
    }
    return some
  }

  #forget(group: string, id: string, told: Tell): void {
    const entries = this.#groups.get(group)?.entries
    // Meanwhile something newer may have taken its place.
    if (entries?.get(id) !== told) return
    entries.delete(id)
    if (entries.size === 0) this.#groups.delete(group)
  }
}
