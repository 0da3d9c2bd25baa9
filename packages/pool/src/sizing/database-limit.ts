/** How far a pool may grow before its connections are in each other's way in the database. */

/*
 * Statements that take longer the more of them run are in each other's way. It is judged by their own time, never by that of
 * the wait, which a pool that is too small would make longer as well. Source: the gradient of Netflix's concurrency-limits
 * (Gradient2), with the least time as its base, statement by statement (`execution-times.ts`).
 *
 * Whether the size is to blame, a trial tells: the pool is made smaller by three tenths, and then as large as before once more.
 * If with less as much is answered, or nearly so, both times, it stays smaller. If the statements take as long with less, they
 * are slow for another reason; then the pool keeps its size, and what they take is what is usual from then on. Without it a server
 * that is slow for what others do would have its callers wait for too few connections as well. And without the way back
 * something that was in the way for a moment would: what seems slow now will on average seem less so in a moment.
 */

/** Slower by up to so much is noise. */
const TOLERANCE = 1.25
/** A size that did harm is tried again after this time, one connection at a time: each when the statements were judged, */
const HARMFUL_MS = 5_000
/** or, where too few of any come for that, after this time. */
const BLIND_MS = 1_000
/** A pool that may do harm is made smaller by this factor, */
const LESS_RATIO = 0.7
/** and stays so if this part of what was answered before is answered still. */
const AS_MUCH = 0.9
/** What the statements took counts for so long, where none has come often enough since; and a trial waits for no longer. */
const STALE_MS = 10_000
/** Time constant with which what is usual is forgotten: a trial may have been misled, and is made again after some 30 s. */
const USUAL_MS = 120_000
/** Of the judgements at one size: with the least of them their mean counts if it is known so well, with enough in any case. */
const CLEAR = { least: 3, error: 0.05, enough: 12 }
/** How many standard errors of a mean count as chance. */
const CHANCE = 2
/** Below this part of the pool in use, its size is not what slows anything. */
const AT_WORK = 0.7

/** The pool is made smaller, and then larger again, to see whether that makes a difference. */
interface Trial {
  readonly size: number
  readonly smaller: number
  /** How slow the statements were before. */
  readonly slower: number
  /** How slow they were with less; undefined until that is known. */
  readonly less: number | undefined
}

/** How many times what is usual the statements take: as it seems, and as far as it is no chance. */
interface Slower {
  readonly mean: number
  readonly atLeast: number
}

export class DatabaseLimit {
  #size: number
  #sizedAt = 0
  #seenAt = 0
  #judgedAt = 0
  /** How slow the statements were since the size has changed. */
  #judged = new Judgements()
  #slowdown = 1
  /** How slow is usual, compared to the least; more than 1 where the size was found to be not to blame. */
  #usual = 1
  #trial: Trial | undefined
  #isLess = false
  /** The size at which more slowed everything, and until when it is not tried again. */
  #harmful: { readonly size: number; readonly until: number } | undefined

  constructor(size: number) {
    this.#size = size
  }

  /** How many times what is usual the statements take; 1 until it is known. */
  get slowdown(): number {
    return this.#slowdown
  }

  /** Whether what `next` has returned last is smaller on purpose, and to be taken at once. */
  get isLess(): boolean {
    return this.#isLess
  }

  /** The pool has a size now. */
  sized(size: number, at: number): void {
    if (size === this.#size) return
    this.#size = size
    this.#sizedAt = at
    this.#judged = new Judgements()
  }

  /**
   * Returns how large the pool may be now; Infinity while its size slows nothing.
   * @param inUse connections, since the last time, on average.
   * @param slowdown how many times their least the statements took; undefined if there is nothing new to judge by.
   */
  next(inUse: number, slowdown: number | undefined, now: number): number {
    this.#usual = Math.max(1, this.#usual * Math.exp((this.#seenAt - now) / USUAL_MS))
    this.#seenAt = now
    this.#isLess = false
    const slower = this.#judge(slowdown, now)
    const tried = this.#trial && this.#goOn(this.#trial, slower?.mean, now)
    if (tried !== undefined) return tried
    if (inUse < AT_WORK * this.#size) return this.#slowdown > TOLERANCE ? this.#size : Number.POSITIVE_INFINITY
    if (slower !== undefined && slower.atLeast > TOLERANCE) {
      const smaller = Math.round(this.#size * LESS_RATIO)
      if (smaller < this.#size) {
        this.#trial = { size: this.#size, smaller, slower: slower.mean, less: undefined }
        this.#isLess = true
        return smaller
      }
      // A single connection is in nobody's way.
      this.#takeAsUsual(slower.mean)
    }
    if (this.#slowdown > TOLERANCE) return this.#size
    if (!this.#harmful) return this.#size + Math.ceil(Math.sqrt(this.#size))
    const { size, until } = this.#harmful
    const mayGrow = now >= until || this.#size < size - 1
    return mayGrow && (slowdown !== undefined || now - this.#sizedAt >= BLIND_MS) ? this.#size + 1 : this.#size
  }

  /** Returns how much slower than usual the statements are at this size, if that is clear and there is something new. */
  #judge(slowdown: number | undefined, now: number): Slower | undefined {
    if (slowdown === undefined) {
      if (now - this.#judgedAt >= STALE_MS) this.#slowdown = 1
      return undefined
    }
    this.#judgedAt = now
    const judged = this.#judged.add(Math.log(slowdown))
    if (judged) this.#usual = Math.max(1, Math.min(this.#usual, Math.exp(judged.mean + judged.chance)))
    this.#slowdown = Math.max(1, slowdown / this.#usual)
    if (!judged) return undefined
    return { mean: Math.exp(judged.mean) / this.#usual, atLeast: Math.exp(judged.mean - judged.chance) / this.#usual }
  }

  /** Returns the size that a trial wants; undefined when it is over, and has shown nothing. */
  #goOn(trial: Trial, slower: number | undefined, now: number): number | undefined {
    const { size, less } = trial
    if (slower === undefined) {
      if (now - this.#sizedAt < STALE_MS) return this.#size
      this.#trial = undefined
      return size
    }
    if (less !== undefined) {
      this.#trial = undefined
      return isAsMuch(trial, slower, less) ? this.#lessen(trial, now) : undefined
    }
    if (!isAsMuch(trial, trial.slower, slower)) {
      this.#trial = undefined
      this.#takeAsUsual(slower)
      return size
    }
    this.#trial = { ...trial, less: slower }
    return size
  }

  /** Ends a trial that has shown that less is as good. */
  #lessen({ size, smaller }: Trial, now: number): number {
    this.#trial = undefined
    this.#harmful = { size, until: now + HARMFUL_MS }
    this.#isLess = true
    return smaller
  }

  #takeAsUsual(slower: number): void {
    this.#usual *= slower
    this.#slowdown = 1
  }
}

/** Whether with the smaller size as much is answered, or nearly so: what is in use by what one takes. */
function isAsMuch({ size, smaller }: Trial, slower: number, less: number): boolean {
  return (smaller / size) * (slower / less) >= AS_MUCH
}

/** The last judgements of one size, as logarithms. */
class Judgements {
  readonly #last: number[] = []
  #isFirst = true

  /** Returns their mean, and what of it may be chance, if it is clear. */
  add(judgement: number): { mean: number; chance: number } | undefined {
    // Most of those began with the size before.
    if (this.#isFirst) {
      this.#isFirst = false
      return undefined
    }
    this.#last.push(judgement)
    if (this.#last.length > CLEAR.enough) this.#last.shift()
    const count = this.#last.length
    if (count < CLEAR.least) return undefined
    const mean = this.#last.reduce((sum, each) => sum + each, 0) / count
    const squares = this.#last.reduce((sum, each) => sum + (each - mean) ** 2, 0)
    const error = Math.sqrt(squares / (count - 1) / count)
    return count === CLEAR.enough || error <= CLEAR.error ? { mean, chance: CHANCE * error } : undefined
  }
}
