/** How many connections those who come have use for, estimated from what is seen of a pool while it runs. */

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

/*
 * Two estimates, because one can't be both quick and calm. The calm one is how many connections are in use, smoothed over three
 * seconds: exact on average, and what a steady load is sized by. The quick one counts only once callers have waited for a while
 * without a break: what came since they began to, whether served or not, times what a use takes. A pool that is too small has
 * them wait until it grows; a machine that stood still for a moment, or chance, soon has them served.
 *
 * Connections that many share are apart from that. Nobody waits for one, and how many are in use says little, since a single
 * one carries whatever comes. Their load is what their servers were at work, statement by statement.
 */

const STEP_MS = 100
/** Time constant of the calm estimate. */
const CALM_MS = 3_000
/** Steps for which callers have to wait on end before the quick one counts. */
const QUICK_STEPS = 4
/** What a use takes is the median of so many steps: what stood still ends in one or two of them, and took no such time. */
const HOLD_STEPS = 5
/**
 * How much of what is in use while callers wait counts as load, where uses are too long to have ended: the rest is the queue
 * that is being worked off, and would have the pool grow for as long as that takes.
 */
const NOT_QUEUE = 0.6
/**
 * All of it counts where callers do not become fewer, although so much of what the connections can do is done: each who was
 * served has come again. With less done, the server or the process stands still.
 */
const SERVED = 0.6
/** What was asked for at one time counts for so long. */
const PEAK_MS = 10_000
/** All shared ones were at work for the whole of a step, as exactly as that is known. */
const SHARED_FULL = 0.85

const NO_RUSH = { steps: 0, ms: 0, came: 0 }

export class OfferedLoad {
  #startedAt: number | undefined
  #done: Done = { uses: 0, usedMs: 0, sharedMs: 0 }
  /** Of this step: looks, those that found callers waiting, and what they saw, added up. */
  #looks = 0
  #waits = 0
  #aloneSeen = 0
  #sharedSeen = 0
  /** Callers at the end of the last step, served or not. */
  #callers = 0
  /** Since callers have had to wait without a break: steps, the ms that they took, and who came. */
  #rush = NO_RUSH
  /** Ms that a use took in the last steps in which any ended. */
  readonly #holds: number[] = []
  /** Ms that connections were in use since one of those steps, while callers waited. */
  #busyMs = 0
  #peaks: { readonly at: number; readonly use: number }[] = []
  #calmAlone = 0
  #calmShared = 0
  #quickAlone = 0
  #quickShared = 0
  /** Connections in use in the last step, on average. */
  inUse = 0
  /** Callers have waited for most of the last step, or all shared connections were at work. */
  isShort = false
  /** Uses of a connection alone a second, and ms that one takes, of late. */
  qps = 0
  holdMs = 0

  /** Connections that callers have use for alone. */
  get alone(): number {
    return Math.max(this.#calmAlone, this.#quickAlone)
  }

  /** Servers that are at work for callers who share. */
  get shared(): number {
    return Math.max(this.#calmShared, this.#quickShared)
  }

  /** Connections in use, and servers at work, on average. */
  get calm(): number {
    return this.#calmAlone + this.#calmShared
  }

  /** The most callers who wanted a connection alone at one time, of late. */
  get peak(): number {
    return this.#peaks[0]?.use ?? 1
  }

  /** Takes a look; returns whether it ends a step, so that `step` is due. */
  see({ at, alone, shared, pending }: Glance): boolean {
    this.#startedAt ??= at
    this.#looks++
    this.#aloneSeen += alone
    this.#sharedSeen += shared
    if (pending > 0) this.#waits++
    const recent = this.#peaks.filter(each => at - each.at < PEAK_MS && each.use > alone + pending)
    // Only what is higher than all that came after it can ever be the highest.
    recent.push({ at, use: alone + pending })
    this.#peaks = recent
    return at - this.#startedAt >= STEP_MS
  }

  /** Ends a step with the last look. */
  step({ at, alone, pending }: Glance, done: Done): void {
    const ms = Math.max(1, at - (this.#startedAt ?? at))
    const uses = done.uses - this.#done.uses
    const came = Math.max(0, uses + alone + pending - this.#callers)
    const isWaiting = this.#waits * 2 >= this.#looks
    this.#estimateAlone(ms, uses, done.usedMs - this.#done.usedMs, isWaiting)
    const isSteady = alone + pending >= this.#callers && uses * this.holdMs >= this.#aloneMean * ms * SERVED
    this.#quickAlone = this.#rushing(isWaiting, ms, came, isSteady)
    const isFull = this.#estimateShared(ms, (done.sharedMs - this.#done.sharedMs) / ms)
    this.isShort = isWaiting || isFull
    this.inUse = (this.#aloneSeen + this.#sharedSeen) / this.#looks
    this.#startedAt = at
    this.#callers = alone + pending
    this.#done = done
    this.#looks = 0
    this.#waits = 0
    this.#aloneSeen = 0
    this.#sharedSeen = 0
  }

  get #aloneMean(): number {
    return this.#aloneSeen / this.#looks
  }

  #estimateAlone(ms: number, uses: number, usedMs: number, isWaiting: boolean): void {
    const weight = weightOf(ms)
    this.#calmAlone += weight * (this.#aloneMean - this.#calmAlone)
    this.qps += weight * ((uses * 1_000) / ms - this.qps)
    // While callers wait none is idle; by what has ended alone, long uses would be missing until they have.
    this.#busyMs = isWaiting ? this.#busyMs + this.#aloneMean * ms : 0
    if (uses === 0) return
    this.#holds.push((isWaiting ? this.#busyMs : usedMs) / uses)
    this.#busyMs = 0
    if (this.#holds.length > HOLD_STEPS) this.#holds.shift()
    this.holdMs = medianOf(this.#holds)
  }

  /** Returns the quick estimate; 0 while it does not count. */
  #rushing(isWaiting: boolean, ms: number, came: number, isSteady: boolean): number {
    const { steps, ms: before, came: cameBefore } = this.#rush
    this.#rush = isWaiting ? { steps: steps + 1, ms: before + ms, came: cameBefore + came } : NO_RUSH
    if (this.#rush.steps < QUICK_STEPS) return 0
    return Math.max(this.#aloneMean * (isSteady ? 1 : NOT_QUEUE), (this.#rush.came / this.#rush.ms) * this.holdMs)
  }

  /** Returns whether all were at work. */
  #estimateShared(ms: number, atWork: number): boolean {
    this.#calmShared += weightOf(ms) * (atWork - this.#calmShared)
    const isFull = atWork > 0 && atWork >= (this.#sharedSeen / this.#looks) * SHARED_FULL
    this.#quickShared = isFull ? atWork : 0
    return isFull
  }
}

function weightOf(ms: number): number {
  return 1 - Math.exp(-ms / CALM_MS)
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const [low = 0, high = 0] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  return (low + high) / 2
}
