/** The size that a pool has use for, found while it runs: up within a second, down slowly, and no further than helps. */

import { bounded, type SizeDerivation, staffing } from './size-pool.js'

/** What is seen of a pool at one instant. */
export interface Glance {
  readonly at: number
  /** Connections that are in use by one caller each. */
  readonly alone: number
  /** Connections that many share. */
  readonly shared: number
  /** Connections that would serve all who wait. */
  readonly pending: number
}

/** What a pool has done since it was made. */
export interface Done {
  /** Uses of a connection alone that have ended, and ms that they took together. */
  readonly uses: number
  readonly usedMs: number
  /** Ms that the servers of shared connections were at work. */
  readonly sharedMs: number
}

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
 * Two estimates of the load, because one can't be both quick and calm. The calm one is how many connections are in use,
 * smoothed over three seconds: exact on average, and what a steady load is sized by. The quick one counts only while callers
 * wait: what came of late, whether served or not, times what a use takes.
 *
 * The need that follows is Erlang's (`size-pool.ts`), but no more than the most that was asked for at one time: for ten
 * callers, each of whom waits for his answer, the eleventh connection is of no use.
 *
 * Connections that many share are apart from that. Nobody waits for one, and how many are in use says little, since a single
 * one carries whatever comes. Their load is what their servers were at work, statement by statement, and the need as many as
 * are that part of the time at work that leaves room for chance. So a second one comes when the first has its backend at the
 * limit, and none because there are many callers, or because this process is the limit.
 *
 * Growing stops where it does not help: statements that take longer the more of them run are in each other's way. It is
 * judged by their own time, never by that of the wait, which a pool that is too small would make longer as well. Source:
 * the gradient of Netflix's concurrency-limits (Gradient2), with the least time as its base, statement by statement.
 * Whether the size is to blame, a trial tells: the pool is made smaller by a third. If as much is answered as before, or
 * nearly so, that was for the good, and is done again. If the statements take as long as before, they are slow for another
 * reason; then the pool gets its size back, and what they take is what is usual from then on. Without it a server that is
 * slow for what others do would have its callers wait for too few connections as well.
 */

const STEP_MS = 100
/** Time constant of the calm estimate. */
const CALM_MS = 3_000
/** Of the quick one: short enough to follow a step within a second, and long enough for more than a few to have come. */
const QUICK_MS = 300
/**
 * How much of what is in use while callers wait counts as load, where uses are too long to have ended: the rest is the queue
 * that is being worked off, and would have the pool grow for as long as that takes.
 */
const NOT_QUEUE = 0.6
/** What was asked for at one time counts for so long. */
const PEAK_MS = 10_000
/** A pool that could be smaller by more than a tenth for so long is made so, a tenth a second. */
const DOWN_AFTER_MS = 5_000
const DOWN_EACH_MS = 1_000
const SPARE_RATIO = 0.9
const DOWN_RATIO = 0.1
/** A pool that could be larger by so much is made larger though nobody waits. */
const UP_RATIO = 1.1
/** How much of the time the server of a shared connection is to be at work. */
const SHARED_AT_WORK = 0.7
/** All shared ones were at work for the whole of a step, as exactly as that is known. */
const SHARED_FULL = 0.85
/** Slower by up to so much is noise. */
const TOLERANCE = 1.25
/** A size that did harm is tried again after this time, one connection at a time. */
const HARMFUL_MS = 15_000
/** A pool that may do harm is made smaller by this factor, */
const LESS_RATIO = 0.7
/** and stays so if this part of what was answered before is answered still. */
const AS_MUCH = 0.9
/** Time constant with which what is usual is forgotten: a trial may have been misled, and is made again after some 15 s. */
const USUAL_MS = 60_000
/** The first judgement after the size has changed is about statements that ran before, too. */
const CLEAR_JUDGEMENTS = 2
/** Below this part of the pool in use, its size is not what slows anything. */
const AT_WORK = 0.7

export class AutoSize {
  readonly #waitRatio: number
  #size: number
  #startedAt: number | undefined
  #done: Done = { uses: 0, usedMs: 0, sharedMs: 0 }
  /** Of this step: looks, those that found callers waiting, and what they saw, added up. */
  #looks = 0
  #waits = 0
  #alone = 0
  #shared = 0
  /** Callers at the end of the last step, served or not; and how many have come in a ms, of late. */
  #callers = 0
  #rush = 0
  #peaks: { readonly at: number; readonly use: number }[] = []
  #load = 0
  #sharedLoad = 0
  #holdMs = 0
  #qps = 0
  #slowdown = 1
  /** How slow is usual, compared to the least; more than 1 where the size was found to be not to blame. */
  #usual = 1
  /** The pool has been made smaller to see whether that helps; what it was like before. */
  #trial: { readonly size: number; readonly slower: number } | undefined
  /** Of the statements, since the size has changed last. */
  #judgements = 0
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

  /** Takes a look; returns whether it ends a step, so that `step` is due. */
  see({ at, alone, shared, pending }: Glance): boolean {
    this.#startedAt ??= at
    this.#looks++
    this.#alone += alone
    this.#shared += shared
    if (pending > 0) this.#waits++
    this.#notePeak(at, alone + pending)
    return at - this.#startedAt >= STEP_MS
  }

  /** @param slowdown of the statements since the last step, if it is known. */
  step(glance: Glance, done: Done, slowdown: number | undefined, bounds: AutoSizeBounds): AutoSizeDerivation {
    const { at } = glance
    const ms = Math.max(1, at - (this.#startedAt ?? at))
    const [alone, shared] = [this.#alone / this.#looks, this.#shared / this.#looks]
    const uses = done.uses - this.#done.uses
    const callers = glance.alone + glance.pending
    const came = Math.max(0, uses + callers - this.#callers)
    const atWork = (done.sharedMs - this.#done.sharedMs) / ms
    const isWaiting = this.#waits * 2 >= this.#looks
    this.#usual *= Math.exp(-ms / USUAL_MS)
    const slower = this.#compare(slowdown)
    this.#estimate(ms, { uses, usedMs: done.usedMs - this.#done.usedMs, came, alone, atWork })
    const quick = isWaiting ? Math.max(alone * NOT_QUEUE, this.#rush * this.#holdMs) : 0
    const needAlone = staffing(Math.max(this.#load, quick), this.#waitRatio)
    const isFull = atWork > 0 && atWork >= shared * SHARED_FULL
    const needShared = lanesFor(Math.max(this.#sharedLoad, isFull ? atWork : 0))
    const useful = Math.max(1, needShared + Math.min(needAlone, this.#peak))
    const database = this.#databaseLimit(alone + shared, slower, at)
    const min = Math.max(1, bounds.min)
    const { size, boundBy } = bounded(useful, { min, max: bounds.max, database })
    const before = this.#size
    this.#size = Math.max(min, this.#follow(size, isWaiting || isFull, at))
    if (this.#size !== before) this.#judgements = 0
    // Where it could not be made smaller there is nothing to be seen.
    if (this.#trial?.size === this.#size) this.#trial = undefined
    this.#startAgain(at, callers, done)
    const load = this.#load + this.#sharedLoad
    const need = Math.max(1, needShared + needAlone)
    const facts = { qps: this.#qps, holdMs: this.#holdMs, slowdown: this.#slowdown, load, need }
    this.#derivation = { size: this.#size, boundBy, ...facts }
    return this.#derivation
  }

  #startAgain(at: number, callers: number, done: Done): void {
    this.#startedAt = at
    this.#callers = callers
    this.#done = done
    this.#looks = 0
    this.#waits = 0
    this.#alone = 0
    this.#shared = 0
  }

  #estimate(ms: number, seen: { uses: number; usedMs: number; came: number; alone: number; atWork: number }): void {
    const { uses, usedMs, came, alone, atWork } = seen
    const weight = 1 - Math.exp(-ms / CALM_MS)
    this.#load += weight * (alone - this.#load)
    this.#sharedLoad += weight * (atWork - this.#sharedLoad)
    this.#qps += weight * ((uses * 1_000) / ms - this.#qps)
    this.#rush += (1 - Math.exp(-ms / QUICK_MS)) * (came / ms - this.#rush)
    if (uses > 0) this.#holdMs += (this.#holdMs === 0 ? 1 : Math.max(weight, 0.2)) * (usedMs / uses - this.#holdMs)
  }

  #notePeak(at: number, use: number): void {
    const recent = this.#peaks.filter(each => at - each.at < PEAK_MS && each.use > use)
    // Only what is higher than all that came after it can ever be the highest.
    recent.push({ at, use })
    this.#peaks = recent
  }

  /** The most callers at one time, of late. */
  get #peak(): number {
    return this.#peaks[0]?.use ?? 1
  }

  /** Returns how much slower than usual the statements are; undefined if there is nothing new to judge by. */
  #compare(slowdown: number | undefined): number | undefined {
    if (slowdown === undefined) return undefined
    this.#usual = Math.max(1, Math.min(this.#usual, slowdown))
    this.#slowdown = slowdown / this.#usual
    return this.#slowdown
  }

  /** @param slower undefined if there is nothing new to judge by. @returns Infinity while the size slows nothing. */
  #databaseLimit(inUse: number, slower: number | undefined, now: number): number {
    if (slower !== undefined) this.#judgements++
    const isClear = slower !== undefined && this.#judgements >= CLEAR_JUDGEMENTS
    if (this.#trial) {
      if (!isClear) return this.#size
      const { size } = this.#trial
      if (!this.#hasHelped(slower)) return size
      this.#harmful = { size, until: now + HARMFUL_MS }
    }
    if (inUse < AT_WORK * this.#size) return this.#slowdown > TOLERANCE ? this.#size : Number.POSITIVE_INFINITY
    if (isClear && this.#slowdown > TOLERANCE) {
      const smaller = Math.round(this.#size * LESS_RATIO)
      // A single connection is in nobody's way.
      if (smaller === this.#size) this.#takeAsUsual(slower)
      else {
        this.#trial = { size: this.#size, slower }
        return smaller
      }
    }
    if (this.#slowdown > TOLERANCE) return this.#size
    const next = this.#size + (this.#harmful ? 1 : Math.ceil(Math.sqrt(this.#size)))
    const { size, until } = this.#harmful ?? { size: Number.POSITIVE_INFINITY, until: 0 }
    return now < until ? Math.min(next, Math.max(this.#size, size - 1)) : next
  }

  /** Ends the trial. */
  #hasHelped(slower: number): boolean {
    const { size, slower: before } = this.#trial as { size: number; slower: number }
    this.#trial = undefined
    // What is answered is what is in use by what one takes.
    if ((this.#size / size) * (before / slower) >= AS_MUCH) return true
    this.#takeAsUsual(slower)
    return false
  }

  #takeAsUsual(slower: number): void {
    this.#usual *= slower
    this.#slowdown = 1
  }

  #follow(size: number, isShort: boolean, now: number): number {
    const isSpare = size < this.#size * SPARE_RATIO
    if (size >= this.#size) this.#spareSince = Number.POSITIVE_INFINITY
    else if (isSpare) this.#spareSince = Math.min(this.#spareSince, now)
    if (size > this.#size && (isShort || size >= this.#size * UP_RATIO)) return size
    if (this.#trial && size < this.#size) return size
    if (now - this.#spareSince < DOWN_AFTER_MS) return this.#size
    this.#spareSince = now - DOWN_AFTER_MS + DOWN_EACH_MS
    return Math.max(size, Math.floor(this.#size * (1 - DOWN_RATIO)))
  }
}

/** How many shared connections a load needs, in servers at work; next to none is carried by those that callers have alone. */
function lanesFor(atWork: number): number {
  return Math.ceil(atWork / SHARED_AT_WORK - 0.1)
}
