/** The size that a pool has use for, found while it runs: up within a second, down slowly, and no further than helps. */

import { DatabaseLimit } from './database-limit.js'
import { type Done, type Glance, OfferedLoad } from './offered-load.js'
import { bounded, type SizeDerivation, staffing } from './size-pool.js'

export interface AutoSizeBounds {
  readonly min: number
  readonly max: number
}

export interface AutoSizeDerivation extends SizeDerivation {
  /** Uses of a connection alone a second, and ms that one takes, of late. */
  readonly qps: number
  readonly holdMs: number
  /** How many times their least the statements take; 1 until it is known. */
  readonly slowdown: number
}

/*
 * What comes needs as many connections as Erlang's formula says (`size-pool.ts`), but no more than the most that was asked for
 * at one time: for ten callers, each of whom waits for his answer, the eleventh is of no use.
 *
 * Connections that many share are as many as leave the server of each some of its time, for chance. So a second one comes when
 * the first has its backend at the limit, and none because there are many callers, or because this process is the limit.
 */

/** How much of the time the server of a shared connection is to be at work. */
const SHARED_AT_WORK = 0.7
/** A pool that could be smaller by more than a tenth for so long is made so, a tenth a second. */
const DOWN_AFTER_MS = 5_000
const DOWN_EACH_MS = 1_000
const SPARE_RATIO = 0.9
const DOWN_RATIO = 0.1
/** A pool that could be larger by so much is made larger though nobody waits. */
const UP_RATIO = 1.1

export class AutoSize {
  readonly #waitRatio: number
  readonly #load = new OfferedLoad()
  readonly #database: DatabaseLimit
  #size: number
  #spareSince = Number.POSITIVE_INFINITY
  #derivation: AutoSizeDerivation

  constructor(waitRatio: number, { min }: AutoSizeBounds) {
    this.#waitRatio = waitRatio
    this.#size = Math.max(1, min)
    this.#database = new DatabaseLimit(this.#size)
    this.#derivation = { size: this.#size, load: 0, need: 1, boundBy: 'min', qps: 0, holdMs: 0, slowdown: 1 }
  }

  get derivation(): AutoSizeDerivation {
    return this.#derivation
  }

  /** Takes a look; returns whether it ends a step, so that `step` is due. */
  see(glance: Glance): boolean {
    return this.#load.see(glance)
  }

  /** @param slowdown of the statements since the last step, if it is known. */
  step(glance: Glance, done: Done, slowdown: number | undefined, bounds: AutoSizeBounds): AutoSizeDerivation {
    const { at } = glance
    const load = this.#load
    load.step(glance, done)
    const needAlone = staffing(load.alone, this.#waitRatio)
    const needShared = lanesFor(load.shared)
    const useful = Math.max(1, needShared + Math.min(needAlone, load.peak))
    const database = this.#database.next(load.inUse, slowdown, at)
    const min = Math.max(1, bounds.min)
    const { size, boundBy } = bounded(useful, { min, max: bounds.max, database })
    this.#size = Math.max(min, this.#follow(size, at))
    this.#database.sized(this.#size, at)
    const need = Math.max(1, needShared + needAlone)
    const facts = { qps: load.qps, holdMs: load.holdMs, slowdown: this.#database.slowdown, load: load.calm, need }
    this.#derivation = { size: this.#size, boundBy, ...facts }
    return this.#derivation
  }

  #follow(size: number, now: number): number {
    const isSpare = size < this.#size * SPARE_RATIO
    if (size >= this.#size) this.#spareSince = Number.POSITIVE_INFINITY
    else if (isSpare) this.#spareSince = Math.min(this.#spareSince, now)
    if (size > this.#size && (this.#load.isShort || size >= this.#size * UP_RATIO)) return size
    if (this.#database.isLess && size < this.#size) return size
    if (now - this.#spareSince < DOWN_AFTER_MS) return this.#size
    this.#spareSince = now - DOWN_AFTER_MS + DOWN_EACH_MS
    return Math.max(size, Math.floor(this.#size * (1 - DOWN_RATIO)))
  }
}

/** How many shared connections a load needs, in servers at work; next to none is carried by those that callers have alone. */
function lanesFor(atWork: number): number {
  return Math.ceil(atWork / SHARED_AT_WORK - 0.1)
}
