/**
 * Reads of many keys at once: what nobody here has, nor is at, is looked for in Redis with no flight for each. Nobody joins
 * such a read, and what it does not find goes on to a flight. What is found costs little more than Redis's answer so.
 */

import type { Clock } from '@breakwater/kernel'
import { type CacheKey, encodeKey } from '../keys.js'
import type { ReadOptions } from '../options.js'
import type { ResolvedPolicy } from '../resolve-options.js'
import type { Passage } from './flight.js'
import type { InFlight } from './in-flight.js'
import type { LoadPath, Missed } from './load-path.js'

export interface ManyReadsParts<V, K extends CacheKey> {
  readonly clock: Clock
  readonly inFlight: InFlight
  readonly path: LoadPath<V, K>
  readonly policy: ResolvedPolicy<V, K>
  /** Of the tags' clock, now. */
  tick(): number
  /** Returns what memory has an answer with that needs no second thought. */
  held(key: string): { readonly value: V | null } | undefined
  /** Whether nobody here has the key, is at it, or has anything else to say of it. */
  isNowhere(key: string): boolean
  /** Reads one key. */
  one(id: K, options: ReadOptions | undefined): Promise<V | null>
  /** Called before Redis is asked; throws where it must not be. */
  begin(): void
  /** Reads one that Redis was asked for already, in vain. */
  goOn(key: string, id: K, why: Missed): Promise<V | null>
}

interface Reading {
  readonly keys: readonly string[]
  readonly fenced: Set<string>
}

export class ManyReads<V, K extends CacheKey> {
  readonly #parts: ManyReadsParts<V, K>
  readonly #underWay = new Set<Reading>()

  constructor(parts: ManyReadsParts<V, K>) {
    this.#parts = parts
  }

  /** Those that are being read. */
  *keys(): Iterable<string> {
    for (const { keys } of this.#underWay) yield* keys
  }

  /** Keeps what is being read of a key from being kept. */
  fence(key: string): void {
    for (const { fenced } of this.#underWay) fenced.add(key)
  }

  /** Returns the values of `ids`, in their order. */
  async get(ids: readonly K[], options: ReadOptions | undefined): Promise<(V | null)[]> {
    const { path, held, isNowhere, one, goOn } = this.#parts
    const keys = ids.map(encodeKey)
    const values = new Array<V | null>(ids.length)
    const put = async (at: number, value: Promise<V | null>): Promise<void> => {
      values[at] = await value
    }
    const looks = path.looksForMany && options?.signal === undefined
    const nowhere: number[] = []
    const others: Promise<void>[] = []
    for (const [at, key] of keys.entries()) {
      const entry = held(key)
      if (entry !== undefined) values[at] = entry.value
      else if (looks && isNowhere(key)) nowhere.push(at)
      else others.push(put(at, one(ids[at] as K, options)))
    }
    if (nowhere.length > 0) {
      const look = async (): Promise<void> => {
        const missed = await this.#look(keys, nowhere, values)
        await Promise.all(missed.map(([at, why]) => put(at, goOn(keys[at] as string, ids[at] as K, why))))
      }
      others.push(look())
    }
    await Promise.all(others)
    return values
  }

  /** Puts what Redis has of the keys at `places` into `values`, and resolves with the places of the others. */
  async #look(
    keys: readonly string[],
    places: readonly number[],
    values: (V | null)[],
  ): Promise<(readonly [at: number, why: Missed])[]> {
    const { clock, inFlight, path, policy } = this.#parts
    this.#parts.begin()
    const reading: Reading = { keys: places.map(at => keys[at] as string), fenced: new Set() }
    const [tick, startedAt] = [this.#parts.tick(), clock.now()]
    const missed: (readonly [at: number, why: Missed])[] = []
    this.#underWay.add(reading)
    inFlight.begin()
    await path.lookForMany(reading.keys, policy, {
      passage: (key): Passage => ({ tick, startedAt, fenced: reading.fenced.has(key) }),
      found: (i, value) => {
        values[places[i] as number] = value
      },
      missed: (i, why) => missed.push([places[i] as number, why]),
    })
    this.#underWay.delete(reading)
    inFlight.end()
    return missed
  }
}
