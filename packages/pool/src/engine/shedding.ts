/** Who should not wait: a caller who would be too late, and callers of a queue that stays slow while others are lost. */

/*
 * Two judgements, both of them made so that a burst which is served in time never notices:
 *
 * 1. `waitBehind` foretells the wait of a new caller: those ahead x mean use / those at work. The mean moves by 1/64 with
 *    each use, so that one slow use among many changes it little.
 * 2. CoDel. In each interval the shortest wait of those served is noted. A burst leaves a short one behind; if even the
 *    shortest was over the target, the queue stands, and everyone in it waits for nothing but the queue. In the interval
 *    after that one, callers who have waited for more than twice the target are shed, so that those behind them are
 *    served fresh. Source: K. Nichols, V. Jacobson, "Controlling Queue Delay" (ACM Queue, 2012), in the form of Elixir's
 *    db_connection, whose numbers are the defaults.
 *
 * One thing is other than there. A queue may also stand because that is how the application works: a thousand inserts
 * started at once, or sixty workers over ten connections. All of them are served, and shedding one would be a fault. So a
 * caller is shed only if one at least as patient was lost (timed out, refused, shed) in the interval before: then the
 * queue costs callers anyway, and shedding only chooses those for whom the answer would come late.
 */

export interface ShedLimits {
  readonly targetMs: number
  readonly intervalMs: number
}

/** Uses without which nothing is foretold, and the inverse of how far one use moves the mean. */
const EVIDENCE = 64

export class Shedding {
  readonly #limits: ShedLimits | undefined
  #uses = 0
  #meanUseMs = 0
  /** The interval that runs. */
  #endsAt = Number.NEGATIVE_INFINITY
  #shortestWaitMs = Number.POSITIVE_INFINITY
  #lostPatienceMs = 0
  /** What the interval before it allows: callers up to this patience are shed. */
  #shedPatienceMs = 0

  /** @param limits undefined to judge nobody. */
  constructor(limits: ShedLimits | undefined) {
    this.#limits = limits
  }

  /** Notes how long a resource was with a caller. */
  used(ms: number): void {
    if (this.#uses < EVIDENCE) this.#uses++
    this.#meanUseMs += (ms - this.#meanUseMs) / this.#uses
  }

  /** Returns how long the caller behind `ahead` others will wait for `atWork` resources; undefined if nothing tells. */
  waitBehind(ahead: number, atWork: number): number | undefined {
    return this.#uses < EVIDENCE || atWork === 0 ? undefined : ((ahead + 1) * this.#meanUseMs) / atWork
  }

  /**
   * Whether a caller who waits `timeoutMs` at most had better not begin to: twice that would not do, so that a forecast
   * which is wrong by less refuses nobody.
   */
  isTooLate(expectedMs: number | undefined, timeoutMs: number): expectedMs is number {
    return this.#limits !== undefined && expectedMs !== undefined && timeoutMs > 0 && expectedMs > 2 * timeoutMs
  }

  /** The queue was empty: nothing stands in it. */
  rested(): void {
    this.#shortestWaitMs = 0
    this.#shedPatienceMs = 0
  }

  /** A caller was served at `now`, after `waitedMs`. */
  served(waitedMs: number, now: number): void {
    if (this.#limits === undefined) return
    if (now >= this.#endsAt) this.#turn(this.#limits, now)
    this.#shortestWaitMs = Math.min(this.#shortestWaitMs, waitedMs)
  }

  /** A caller who was willing to wait `patienceMs` got nothing. */
  lost(patienceMs: number): void {
    this.#lostPatienceMs = Math.max(this.#lostPatienceMs, patienceMs)
  }

  /** Whether to shed a caller. */
  isOverdue(waitedMs: number, patienceMs: number): boolean {
    return this.#limits !== undefined && patienceMs <= this.#shedPatienceMs && waitedMs > 2 * this.#limits.targetMs
  }

  #turn({ targetMs, intervalMs }: ShedLimits, now: number): void {
    // Nobody was served for long: the server was away, and callers were told to wait for it.
    const isRecent = now < this.#endsAt + intervalMs
    this.#shedPatienceMs = isRecent && this.#shortestWaitMs > targetMs ? this.#lostPatienceMs : 0
    this.#endsAt = now + intervalMs
    this.#shortestWaitMs = Number.POSITIVE_INFINITY
    this.#lostPatienceMs = 0
  }
}
