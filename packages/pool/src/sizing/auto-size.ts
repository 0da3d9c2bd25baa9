/** The size that a pool has use for, found while it runs: up within a second, down slowly, and no further than helps. */

import { bounded, type SizeDerivation, staffing } from './size-pool.js'

/** What is seen of a pool at one instant. */
export interface Sample {
  readonly at: number
  readonly inUse: number
  readonly pending: number
  /** Uses that have ended, and ms that they took together, since the pool was made. */
  readonly uses: number
  readonly usedMs: number
}

export interface AutoSizeBounds {
  readonly min: number
  readonly max: number
}

export interface AutoSizeDerivation extends SizeDerivation {
  /** Uses a second, and ms that one takes, of late. */
  readonly qps: number
  readonly holdMs: number
  /** How many times their least the statements take; 1 until it is known. */
  readonly slowdown: number
}

/*
 * Two estimates of the load, because one can't be both quick and calm. The calm one is the time that uses took, by the
 * time that passed, smoothed over three seconds: exact on average, and what a steady load is sized by. The quick one counts
 * only while callers wait: what came in the last step, whether served or not, times what a use takes.
 *
 * The need that follows is Erlang's (`size-pool.ts`), but no more than the most that was asked for at one time: for ten
 * callers, each of whom waits for his answer, the eleventh connection is of no use.
 *
 * Growing stops where it does not help: statements that take longer the more of them run are in each other's way. It is
 * judged by their own time, never by that of the wait, which a pool that is too small would make longer as well. Source:
 * the gradient of Netflix's concurrency-limits (Gradient2), with the least time as its base, statement by statement.
 */

const STEP_MS = 100
/** Time constant of the calm estimate. */
const CALM_MS = 3_000
/** What was asked for at one time counts for so long. */
const PEAK_MS = 10_000
/** A pool that could be smaller by more than a fifth for so long is made smaller, a tenth at a time. */
const DOWN_AFTER_MS = 5_000
const SPARE_RATIO = 0.8
const DOWN_RATIO = 0.1
/** A pool that could be larger by so much is made larger though nobody waits. */
const UP_RATIO = 1.2
/** Slower by up to so much is noise. */
const TOLERANCE = 1.25
/** A size that did harm is tried again after this time, one connection at a time. */
const HARMFUL_MS = 15_000
/** Below this part of the pool in use, its size is not what slows anything. */
const AT_WORK = 0.7

export class AutoSize {
  readonly #waitRatio: number
  #size: number
  #last: Sample | undefined
  #waits = 0
  #looks = 0
  #inUse = 0
  #peaks: { readonly at: number; readonly use: number }[] = []
  #load = 0
  #holdMs = 0
  #qps = 0
  #slowdown = 1
  /** The size at which more slowed everything, and until when it is not tried again. */
  #harmful: { readonly size: number; readonly until: number } | undefined
  #spareSince = Number.POSITIVE_INFINITY
  #derivation: AutoSizeDerivation

  constructor(waitRatio: number, { min }: AutoSizeBounds) {
    this.#waitRatio = waitRatio
    this.#size = Math.max(1, min)
    this.#derivation = { size: this.#size, load: 0, need: 1, boundBy: 'min', qps: 0, holdMs: 0, slowdown: 1 }
  }

  get derivation(): AutoSizeDerivation {
    return this.#derivation
  }

  /** Takes a sample; returns whether it ends a step, so that `step` is due. */
  see(sample: Sample): boolean {
    this.#last ??= sample
    this.#looks++
    this.#inUse += sample.inUse
    if (sample.pending > 0) this.#waits++
    return sample.at - this.#last.at >= STEP_MS
  }

  /** @param slowdown of the statements since the last step, if it is known. */
  step(sample: Sample, slowdown: number | undefined, { min, max }: AutoSizeBounds): AutoSizeDerivation {
    const last = this.#last ?? sample
    const ms = Math.max(1, sample.at - last.at)
    const uses = sample.uses - last.uses
    const usedMs = sample.usedMs - last.usedMs
    const isWaiting = this.#waits * 2 >= this.#looks
    const inUse = this.#inUse / Math.max(1, this.#looks)
    this.#slowdown = slowdown ?? this.#slowdown
    this.#estimate(ms, uses, usedMs)
    const came = uses + Math.max(0, sample.pending - last.pending)
    const quick = isWaiting ? Math.max(inUse, (came * this.#holdMs) / ms) : 0
    const need = Math.max(1, staffing(Math.max(this.#load, quick), this.#waitRatio))
    const useful = Math.min(need, this.#peakOf(sample))
    const database = this.#databaseLimit(inUse, slowdown, sample.at)
    const { size, boundBy } = bounded(useful, { min: Math.max(1, min), max, database })
    this.#size = this.#follow(size, isWaiting, sample.at)
    this.#last = sample
    this.#waits = 0
    this.#looks = 0
    this.#inUse = 0
    const facts = { qps: this.#qps, holdMs: this.#holdMs, slowdown: this.#slowdown, load: this.#load, need }
    this.#derivation = { size: this.#size, boundBy, ...facts }
    return this.#derivation
  }

  #estimate(ms: number, uses: number, usedMs: number): void {
    const weight = 1 - Math.exp(-ms / CALM_MS)
    this.#load += weight * (usedMs / ms - this.#load)
    this.#qps += weight * ((uses * 1_000) / ms - this.#qps)
    if (uses > 0) this.#holdMs += (this.#holdMs === 0 ? 1 : Math.max(weight, 0.2)) * (usedMs / uses - this.#holdMs)
  }

  #peakOf({ at, inUse, pending }: Sample): number {
    const recent = this.#peaks.filter(each => at - each.at < PEAK_MS)
    const use = inUse + pending
    // Only what is higher than all that came after it can ever be the highest.
    this.#peaks = [...recent.filter(each => each.use > use), { at, use }]
    return Math.max(1, this.#peaks[0]?.use ?? 1)
  }

  /** @param slowdown undefined if there is nothing new to judge by. @returns Infinity while the size slows nothing. */
  #databaseLimit(inUse: number, slowdown: number | undefined, now: number): number {
    if (inUse < AT_WORK * this.#size) return this.#slowdown > TOLERANCE ? this.#size : Number.POSITIVE_INFINITY
    if (slowdown !== undefined && slowdown > TOLERANCE) {
      this.#harmful = { size: this.#size, until: now + HARMFUL_MS }
      return Math.max(1, Math.round(this.#size * Math.max(0.5, TOLERANCE / slowdown)))
    }
    const { size, until } = this.#harmful ?? { size: Number.POSITIVE_INFINITY, until: 0 }
    if (this.#slowdown > TOLERANCE) return this.#size
    const next = this.#size + (this.#harmful ? 1 : Math.ceil(Math.sqrt(this.#size)))
    return now < until ? Math.min(next, Math.max(this.#size, size - 1)) : next
  }

  #follow(size: number, isWaiting: boolean, now: number): number {
    const isSpare = size < this.#size * SPARE_RATIO
    if (!isSpare) this.#spareSince = Number.POSITIVE_INFINITY
    else this.#spareSince = Math.min(this.#spareSince, now)
    if (size > this.#size && (isWaiting || size >= this.#size * UP_RATIO)) return size
    const isHarmful = this.#slowdown > TOLERANCE && size < this.#size
    if (isHarmful && isWaiting) return size
    if (now - this.#spareSince < DOWN_AFTER_MS) return this.#size
    this.#spareSince = now - DOWN_AFTER_MS + STEP_MS * 10
    return Math.max(size, Math.floor(this.#size * (1 - DOWN_RATIO)))
  }
}
