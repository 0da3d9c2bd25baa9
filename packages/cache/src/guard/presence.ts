/**
 * What Redis believes of this instance: that it is there, until an instant of Redis's own time. An add that Redis has not
 * acknowledged may go ahead only when that instant is over for certain: then every guard lets every read through, until
 * this instance is back and has told what it owes, or is given up and the bits are built anew.
 *
 * Certain means: counted from the other side. Each beat asks to be believed until an instant that this process names, so
 * that one which was sent long ago and is only now read cannot prolong anything; and the server's time is taken for as
 * late as it may be when asking, and for as early as it may be when waiting.
 */

/** How long an instance is believed to be there after its last beat. */
export const STAY_MS = 3_000

export class Presence {
  #noted = false
  #last: { readonly sentAt: number; readonly receivedAt: number; readonly serverNow: number } | undefined
  /** The latest instant of the server's time until which Redis may believe. */
  #until: number | undefined

  /** Returns until when to ask to be believed; `undefined` while the server's time is not known, and nothing may be asked. */
  ask(now: number): number | undefined {
    if (this.#last === undefined) return undefined
    const until = Math.ceil(this.#last.serverNow + (now - this.#last.sentAt) + STAY_MS)
    this.#until = Math.max(this.#until ?? 0, until)
    return until
  }

  /** @param noted whether Redis took note of this instance with this reply; `undefined` if it was not asked to. */
  replied(sentAt: number, receivedAt: number, serverNow: number, noted: boolean | undefined): void {
    this.#last = { sentAt, receivedAt, serverNow }
    this.#noted = noted ?? this.#noted
  }

  /** Whether Redis has taken note of this instance; it forgets with its header. */
  get isNoted(): boolean {
    return this.#noted
  }

  /** Ms until Redis certainly believes no more: Infinity while it does not know of this instance, `undefined` if it never was reached. */
  lapsesInMs(now: number): number | undefined {
    if (this.#last === undefined) return undefined
    if (this.#until === undefined || !this.#noted) return Number.POSITIVE_INFINITY
    return this.#until - (this.#last.serverNow + (now - this.#last.receivedAt))
  }
}
