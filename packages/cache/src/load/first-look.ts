/**
 * Reads what Redis holds fresh by a plain MGET, before any script is run: most reads find what they want, and a plain read
 * costs the server a tenth of a script that looks at the same. What else there may be, it leaves to the load lease.
 */

import { type Header, readHeader, type Stored } from '../codec/header.js'
import { isAnswer } from '../redis/breaker.js'
import { countsFor } from '../redis/marks.js'
import type { Shard, Shards } from '../redis/shards.js'
import { TurnQueue } from './turn-batch.js'

/** A value that is fresh, and that nothing has taken. */
export interface Hit {
  readonly stored: Stored
  readonly header: Header
  readonly freshMs: number
  readonly ageMs: number
}

/** `none`: not to be had so. `unreachable`: Redis does not answer. */
export type Look = Hit | 'none' | 'unreachable'

interface Question {
  readonly key: string
  readonly then: (look: Look) => void
}

/** Values in one command. */
const MOST_KEYS_AT_ONCE = 200

export class FirstLook {
  readonly #shards: Shards
  readonly #space: string
  readonly #binary: boolean
  /** By shard. */
  readonly #asked: readonly TurnQueue<Question>[]

  /** @param binary values may be other than text. */
  constructor(shards: Shards, space: string, binary: boolean) {
    this.#shards = shards
    this.#space = space
    this.#binary = binary
    this.#asked = shards.all.map(shard => new TurnQueue(MOST_KEYS_AT_ONCE, asked => void this.#answer(shard, asked)))
  }

  /** Calls `then` with what there is of `key`. What is asked for in one turn of the event loop goes in one round trip a shard. */
  at(key: string, then: (look: Look) => void): void {
    this.#asked[this.#shards.of(this.#space, key).index]?.put({ key, then })
  }

  async #answer(shard: Shard, asked: readonly Question[]): Promise<void> {
    const looks = await this.#ask(shard, asked).catch(error => (isAnswer(error) ? 'none' : 'unreachable'))
    for (let i = 0; i < asked.length; i++) asked[i]?.then(typeof looks === 'string' ? looks : (looks[i] ?? 'none'))
  }

  async #ask({ layout, redis, marks: reader, tags }: Shard, asked: readonly Question[]): Promise<Look[] | 'none'> {
    const keys = [layout.marks, ...asked.map(({ key }) => layout.value(this.#space, key))]
    const reading = await redis.read(keys, this.#binary)
    const marks = reading && reader.read(reading.values[0]?.toString() ?? null)
    if (reading === undefined || marks === undefined) return 'none'
    const { values, serverMs } = reading
    return asked.map((_, i) => {
      const stored = values[i + 1]
      const header = stored && readHeader(stored)
      if (!header || !countsFor(marks, this.#space, header, tags)) return 'none'
      const freshMs = header.freshUntil - serverMs
      return freshMs > 0 ? { stored, header, freshMs, ageMs: Math.max(0, serverMs - header.storedAt) } : 'none'
    })
  }
}
