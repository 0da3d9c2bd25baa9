/** What a member does about what it has just seen of its fleet, and when it looks again. Pure: the simulator runs it too. */

import { allocate, type Member } from './allocate.js'

/** The fleet at one instant. */
export interface View {
  /** Every member, the one who looks among them. */
  readonly members: readonly Member[]
  /** Slots that are held, by whomever. */
  readonly held: number
  /** Connections that all members together may have. */
  readonly ceiling: number
}

export interface Decision {
  /** Connections that the member may have; what it has beyond is to be given up. */
  readonly share: number
  /** Slots to claim now. */
  readonly claim: number
  /** Whether it has use for more than it has and may claim now: others will have to give it up first. */
  readonly isWaiting: boolean
}

/**
 * @param self.held must be what the member knows itself: the view may be older.
 * @returns a claim that never takes the fleet above its ceiling, as far as the view shows; what has changed since is for
 * the locks to decide.
 */
export function decide(view: View, self: Member): Decision {
  const others = view.members.filter(({ id }) => id !== self.id)
  const [share = 0] = allocate([self, ...others], view.ceiling)
  const wanted = Math.min(share, Math.max(1, self.demand)) - self.held
  const free = view.ceiling - view.held
  const claim = Math.max(0, Math.min(wanted, free))
  return { share, claim, isWaiting: wanted > claim }
}

/** Every member of a small fleet looks about twice a second; a large one shares 40 looks a second among its members. */
const SHORTEST_MS = 500
const PER_MEMBER_MS = 25
const LONGEST_MS = 10_000
/** Who waits for what others must give up looks as often as this, compared to them. */
const WAITING_SHARE = 0.5
/** Who has one connection and use for no more has nothing to give and nothing to ask, only something to lose. */
const AT_REST = 10

/**
 * Returns ms until the member should look again: with a fleet of 8 after half a second, with 1,000 after ten. Members that
 * have something to give, or to ask for, look; the others hardly ever do, so that what a fleet costs its server depends on
 * how many are at work.
 * @param random from 0 to 1, exclusive; spreads members by a fifth, since those that start together would stay so.
 */
export function nextLookMs(members: number, { isWaiting, mayGive }: Rest, random: number): number {
  const interval = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, members * PER_MEMBER_MS))
  const factor = isWaiting ? WAITING_SHARE : mayGive ? 1 : AT_REST
  return interval * factor * (0.9 + 0.2 * random)
}

export interface Rest {
  readonly isWaiting: boolean
  /** Whether it has more than the one connection that it keeps in any case. */
  readonly mayGive: boolean
}
