/** Where a contender's values come from: counted, as slow as asked for, and able to fail. */

import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Source } from '../protocol.js'

export class CountedSource {
  loads = 0
  readonly #source: Source
  readonly #truth: Redis | undefined

  constructor(source: Source) {
    this.#source = source
    this.#truth = source.truth && new Redis(source.truth.url)
  }

  readonly load = async (key: string): Promise<unknown> => {
    this.loads++
    const { loadMs, bytes = 200, failing = false } = this.#source
    // Read first, answered later, as of a database under load: what is changed meanwhile is not in the answer.
    const version = this.#truth ? Number(await this.#truth.get(key)) : undefined
    if (loadMs > 0) await sleep(loadMs)
    if (failing) throw new Error('the source fails')
    return version ?? makeValue(key, bytes)
  }

  /** Writes the next version of a key, and returns it. */
  async write(key: string): Promise<number> {
    if (this.#truth === undefined) throw new Error('there is no truth to be written')
    return this.#truth.incr(key)
  }

  close(): void {
    this.#truth?.disconnect()
  }
}

/** Small objects, as rows are; about `bytes` as JSON. */
function makeValue(key: string, bytes: number): object {
  const rows: object[] = []
  const length = (): number => JSON.stringify({ key, rows, rest: '' }).length
  for (let id = 0; length() < bytes - 100; id++) {
    rows.push({ id, name: `row ${id} of ${key}`, active: id % 2 === 0, score: id * 1.5, tags: ['a', 'b'] })
  }
  return { key, rows, rest: 'x'.repeat(Math.max(0, bytes - length())) }
}
