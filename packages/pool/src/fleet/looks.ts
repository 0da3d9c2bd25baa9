/** When an instance looks at its fleet: at the time that is planned, or as soon after as a session of its own is free. */

import type { Clock, Timer } from '@breakwater/kernel'

export interface LooksHooks {
  /** Whether there is a session to ask with. */
  isSeated(): boolean
  /** Has an idle session look; returns false if there is none. The next one that is given back has to then. */
  begin(): boolean
}

/** A need that is new is looked into this soon after the look before. */
const PRESSED_MS = 50
/** No session has been free for so long. */
const LATE_MS = 100
/** A look that found nothing idle is tried again. */
const AGAIN_MS = 100

export class Looks {
  readonly #clock: Clock
  readonly #hooks: LooksHooks
  #timer: Timer | undefined
  #nextAt = Number.POSITIVE_INFINITY
  #isUnderWay = false
  /** One is to be made, or is waited for while another is under way. */
  isDue = false
  isStopped = false
  /** When the last one was sent. */
  lastAt: number = Number.NEGATIVE_INFINITY
  #dueAt = 0

  constructor(clock: Clock, hooks: LooksHooks) {
    this.#clock = clock
    this.#hooks = hooks
  }

  /** Whether the next session that is free has to look. */
  get isNeeded(): boolean {
    return this.isDue && !this.#isUnderWay
  }

  /** Has the next one begin in so long, unless it is to begin before. */
  plan(ms: number): void {
    const at = this.#clock.now() + ms
    if (this.isStopped || at >= this.#nextAt) return
    this.#timer?.cancel()
    this.#nextAt = at
    this.#timer = this.#clock.schedule(ms, () => {
      this.#nextAt = Number.POSITIVE_INFINITY
      this.#fallDue()
    })
  }

  /** Has the next one begin as soon as that may be. */
  hurry(): void {
    this.plan(Math.max(0, this.lastAt + PRESSED_MS - this.#clock.now()))
  }

  /** Whether one that is due can't be made, because all sessions are with their users. */
  get isLate(): boolean {
    const now = this.#clock.now()
    return this.isDue && now - this.#dueAt >= LATE_MS && now - this.lastAt >= LATE_MS
  }

  #fallDue(): void {
    if (!this.isDue && !this.#hooks.isSeated()) return
    if (!this.isDue) this.#dueAt = this.#clock.now()
    this.isDue = true
    // All are in use, or being validated: the first that is given back is asked, or one that is idle by then.
    if (!this.#hooks.begin()) this.plan(AGAIN_MS)
  }

  /**
   * Makes one, the only one at its time; the next is planned anew when it is over.
   * @param look resolves with the ms until then; never rejects.
   */
  async make(look: () => Promise<number>): Promise<void> {
    this.isDue = false
    this.#isUnderWay = true
    const nextMs = await look()
    this.#isUnderWay = false
    this.#timer?.cancel()
    this.#nextAt = Number.POSITIVE_INFINITY
    this.plan(nextMs)
  }

  stop(): void {
    this.isStopped = true
    this.#timer?.cancel()
    this.#nextAt = Number.POSITIVE_INFINITY
  }
}
