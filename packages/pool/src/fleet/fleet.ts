/**
 * One instance's part in its fleet: no connection without a slot of the common budget, as many slots as are its share, and
 * a share that follows what it and the others have use for.
 */

/*
 * How it works
 *
 * The budget lives in the server, as locks (`ledger.ts`). There is no leader, and nobody waits for anybody's answer: each
 * instance looks at the locks from time to time, works out what is whose (`allocate.ts`), gives up what is not its own,
 * and claims what is and is free (`policy.ts`). Two views of one fleet may differ for a moment; the locks do not.
 *
 *            look          share          claim             connect          inherit
 *   demand ---------> view --------> wanted ------> reserved -------> opening ------> seated
 *      ^                |                                                               |
 *      |                +---- too many: the pool's limit is lowered, idle ones go ------+---> gone
 *
 * Five rules:
 *
 * 1. The pool's limit is never more than the slots that this instance has: one for each connection, and one for each that
 *    it may open, held meanwhile by the session that claimed it. So the pool opens nothing that has no slot.
 * 2. The first connection of an instance has no session to claim with. It connects, and is given to nobody until it has
 *    claimed a slot itself. What it takes for that long is a place that all others leave free (`keepFree`).
 * 3. A slot is let go of by the end of its session alone. So it cannot be anybody else's while its backend is still there,
 *    whether the connection was closed, its process killed, or its backend still works for a process that is gone.
 * 4. Looking is done on sessions that the instance has, between two users of one, before those who wait for it; if all are
 *    idle, on an idle one; and hardly ever by who has nothing to give and nothing to ask (`nextLookMs`). If none is given
 *    back for a while, and callers wait, one more connection comes in by the door of rule 2.
 * 5. Where the fleet cannot be asked (an error, a time-out), an instance goes on with what it has, one connection at least,
 *    and takes no more.
 *
 * What may go wrong, and then:
 *
 *   the application drops the locks (DISCARD ALL)   seen by the command, or at the next look; the connection claims a slot
 *                                                   before its next user gets it, or goes. Until then there is one too many
 *   the session that holds a reservation ends       its heir notices that the chain is broken, and claims like a first one
 *   the server refuses a connection (53300)         somebody came in between: what is reserved is let go of, no claims for
 *                                                   a while; the callers wait
 *   the server restarts                             all locks are gone, and so are all connections: everyone comes anew
 *   a pooler hands each statement to another        session locks mean nothing: an equal part for good, or no limit at all
 *   more instances than slots                       who has one keeps it; a new one comes and goes until one is free
 */

import type { Clock, Deadline, Timer } from '@breakwater/kernel'
import type { RetireReason } from '../engine/slot.js'
import type { Member } from './allocate.js'
import { type Ask, introduce, Ledger, type Sight } from './ledger.js'
import type { ResolvedFleet } from './options.js'
import { pause } from './pause.js'
import { decide, nextLookMs } from './policy.js'
import { type Reservation, Seat, Seats } from './seats.js'
import { type FleetEvent, type FleetStats, fleetFull, fleetUnknown, isFleetFull } from './telling.js'

export interface FleetHooks<C> {
  readonly name: string
  readonly clock: Clock
  /** From 0 to 1, exclusive. */
  readonly random: () => number
  /** Connections that the pool has use for, up to its own limit. */
  demand(): number
  /** Sets how many connections the pool may have. */
  grant(connections: number): void
  /** Runs a statement on a connection that nobody else uses. Bounded: a connection that does not answer is lost. */
  ask(connection: C, text: string): ReturnType<Ask>
  /** Whether the connection still stands. */
  isUsable(connection: C): boolean
  /** The process id that the server, or a pooler before it, gave when connecting. */
  processIdOf(connection: C): number | undefined
  /** Lends an idle connection, or that one if it is idle, until `release`. */
  borrow(connection?: C): { readonly value: C; release(): void; retire(reason: RetireReason): void } | undefined
  emit(event: FleetEvent): void
}

/** How long a connection waits for its slot. */
interface Patience {
  readonly signal: AbortSignal
  readonly deadline: Deadline
}

/** A caller who cannot be served has the fleet looked at this soon after the look before, if his is a need that is new. */
const PRESSED_MS = 50
/** All connections have been with their users for so long, while others wait: one more comes in without a slot. */
const DOOR_MS = 100
/** A look that found nothing idle is tried again. */
const AGAIN_MS = 100
/** How long the server's limits and its other users count as known. */
const CENSUS_MS = 2_000
/** Looks that a connection without a slot waits for one to be given up. */
const PATIENCE = 12
/** A slot that was reserved in vain is let go of. */
const UNUSED_MS = 1_000
/** After the server has refused a connection: no claims for so long, and twice as long after each refusal that follows. */
const REFUSED_MS = 1_000
const LONGEST_PAUSE_MS = 30_000
/** After the fleet could not be asked: no claims, and nobody at the door. */
const FAILED_MS = 1_000

export class Fleet<C extends object> {
  readonly #options: ResolvedFleet
  readonly #hooks: FleetHooks<C>
  readonly #seats = new Seats<C>()
  /** Told from those of others by chance; 31 bits hold a fleet of thousands. */
  readonly #id: number
  #ledger: Ledger | undefined
  /** Set for good where there can be no slots. */
  #fixed: number | undefined
  #share = Number.POSITIVE_INFINITY
  #members: readonly Member[] = []
  #demand = 0
  #version = 0
  #card: { readonly key: string; readonly holder: C } | undefined
  /** Readings of the last two seconds; the highest counts, as each sees connections that have not got their slot yet. */
  #limits: { readonly limit: number; readonly at: number }[] = []
  #pausedUntil = 0
  #pauseMs = REFUSED_MS
  #timer: Timer | undefined
  #nextAt = Number.POSITIVE_INFINITY
  #lastAt = Number.NEGATIVE_INFINITY
  /** What a look would show has changed by our own doing. */
  #isWorthALook = false
  /** The next connection that is given back has to look. */
  #isDue = false
  #dueAt = 0
  /** A connection without a slot is on its way in. */
  #isAtDoor = false
  #isLooking = false
  #isStopped = false
  #failures = 0
  /** Connections that are with the fleet, not with a user. */
  attending = 0
  readonly #counts = { looks: 0, failedLooks: 0, lostSlots: 0, refused: 0 }

  constructor(options: ResolvedFleet, hooks: FleetHooks<C>) {
    this.#options = options
    this.#hooks = hooks
    this.#id = 1 + Math.floor(hooks.random() * (2 ** 31 - 2))
    this.#apply()
  }

  stats(): FleetStats {
    const { seated, reserved } = this.#seats
    const members = this.#fixed === undefined ? this.#members.length : undefined
    const share = Number.isFinite(this.#share) ? this.#share : undefined
    const mode = this.#fixed !== undefined ? 'fixed' : share === undefined ? 'joining' : 'shared'
    const ceiling = this.#limits.length > 0 ? this.#ceiling : undefined
    return { mode, share, held: seated, reserved, demand: this.#demand, members, ceiling, ...this.#counts }
  }

  /** Whether it has a connection at all. */
  get isSeated(): boolean {
    return this.#seats.seated > 0
  }

  // Connections that come and go

  /**
   * Resolves when a new connection may be used. Rejects if there is no slot for it; it must be closed then.
   * @param signal aborted when it is no longer wanted, and lost.
   * @param deadline by when to know that there is none.
   */
  async join(connection: C, signal: AbortSignal, deadline: Deadline): Promise<void> {
    const ledger = this.#ledger ?? (await this.#meet(connection))
    if (!ledger) return
    const reservation = this.#seats.take()
    try {
      this.#seats.seat(connection, await this.#seatOf(connection, ledger, reservation, { signal, deadline }))
      this.#pauseMs = REFUSED_MS
    } catch (error) {
      // A statement that the server refused, for whatever reason, must not keep the instance from its one connection.
      if (isFleetFull(error) || signal.aborted || !this.#hooks.isUsable(connection)) throw error
      this.#failed(error)
      if (this.isSeated) throw fleetUnknown(this.#hooks.name, error)
      this.#seats.seat(connection, new Seat(0, undefined))
    } finally {
      this.#isAtDoor = false
      if (reservation) this.#letGo(reservation)
      this.#apply()
    }
    const isShort = this.#hooks.demand() > this.#seats.size
    this.#schedule(isShort ? 0 : this.#nextLookMs(false))
  }

  /** For a connection that is being closed, in the tick in which the pool stops counting it. */
  leave(connection: C): void {
    this.#seats.remove(connection)
    this.#isWorthALook = true
    if (this.#card?.holder === connection) this.#card = undefined
    this.#apply()
  }

  /** The server has refused a connection, because it has no more. */
  refused(): void {
    this.#counts.refused++
    this.#hooks.emit({ type: 'server-full', pool: this.#hooks.name })
    this.#pausedUntil = this.#hooks.clock.now() + this.#pauseMs
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2)
    for (const each of this.#seats.untaken) this.#letGo(each)
    this.#apply()
  }

  /** The application has dropped the locks of a connection's session. */
  dropped(connection: C): void {
    const seat = this.#seats.get(connection)
    if (!seat || seat.isLost) return
    seat.isLost = true
    this.#counts.lostSlots++
    if (this.#card?.holder === connection) this.#card = undefined
  }

  // Looking

  /** Whether something is to be done on a connection before its next user gets it. */
  isNeeded(connection: C): boolean {
    if (this.#isStopped) return false
    return (this.#isDue && !this.#isLooking) || this.#seats.get(connection)?.hasErrand === true
  }

  /** Does it. Resolves with why the connection has to go, if it has to; never rejects. */
  async attend(connection: C): Promise<'surplus' | 'unhealthy' | undefined> {
    const seat = this.#seats.get(connection)
    this.attending++
    try {
      if (!seat || !this.#ledger) return undefined
      await this.#ledger.release(this.#askerOf(connection), seat.owed.splice(0))
      if (this.#isDue && !this.#isLooking) await this.#lookOn(connection)
      if (seat.isLost && !(await this.#regain(connection, seat))) return 'surplus'
    } catch (error) {
      // Not with every user from now on: the next look finds it again.
      if (seat) seat.isLost = false
      this.#failed(error)
    } finally {
      this.attending--
    }
    return this.#hooks.isUsable(connection) ? undefined : 'unhealthy'
  }

  /** A caller has to wait; to be told again while he does. */
  press(): void {
    if (this.#seats.seated === 0 || this.#isStopped) return
    if (this.#isDue) this.#knock()
    if (this.#isDue) return
    const isNew = this.#isWorthALook || this.#hooks.demand() > this.#demand
    if (isNew) this.#schedule(Math.max(0, this.#lastAt + PRESSED_MS - this.#hooks.clock.now()))
  }

  /** Opens the door if it is time: no connection has come back for so long that nothing can be asked for. */
  #knock(): void {
    const { clock } = this.#hooks
    const now = clock.now()
    const isTime = now - this.#dueAt >= DOOR_MS && now - this.#lastAt >= DOOR_MS && now >= this.#pausedUntil
    if (!isTime || this.#isAtDoor || this.#hooks.demand() <= this.#seats.size) return
    this.#isAtDoor = true
    this.#apply()
  }

  /** The connection that was to come did not. */
  closeDoor(): void {
    this.#isAtDoor = false
    this.#apply()
  }

  stop(): void {
    this.#isStopped = true
    this.#cancelTimer()
  }

  #cancelTimer(): void {
    this.#timer?.cancel()
    this.#nextAt = Number.POSITIVE_INFINITY
  }

  async #lookOn(connection: C): Promise<void> {
    this.#isDue = false
    this.#isLooking = true
    let isWaiting = false
    try {
      const before = this.#seats.entries()
      const sight = await this.#see(connection)
      this.#findLost(before, sight)
      const decision = decide({ ...sight, ceiling: this.#ceiling }, this.#self)
      isWaiting = decision.isWaiting
      this.#setShare(decision.share)
      this.#letGoOfUnused()
      this.#isWorthALook = decision.claim > 0 && (await this.#claim(connection, decision.claim))
      this.#failures = 0
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#isLooking = false
      this.#apply()
      this.#cancelTimer()
      this.#schedule(this.#nextLookMs(isWaiting))
    }
  }

  async #see(connection: C): Promise<Sight> {
    const { clock } = this.#hooks
    const ledger = this.#ledger as Ledger
    this.#counts.looks++
    this.#lastAt = clock.now()
    const demand = this.#hooks.demand()
    const put = demand === this.#demand && this.#card ? undefined : ledger.card({ version: ++this.#version, demand })
    const old = put ? this.#card : undefined
    const take = old?.holder === connection ? old.key : undefined
    const isCensus = clock.now() - (this.#limits.at(-1)?.at ?? Number.NEGATIVE_INFINITY) >= CENSUS_MS / 2
    const sight = await ledger.look(this.#askerOf(connection), put, take, isCensus)
    this.#isDue = false
    this.#demand = demand
    if (put) this.#card = { key: put, holder: connection }
    if (old && !take) this.#owe(old.holder, old.key)
    if (sight.census) this.#note(sight.census.limit)
    this.#members = sight.members
    return sight
  }

  #note(limit: number): void {
    const at = this.#hooks.clock.now()
    this.#limits = [...this.#limits.filter(each => at - each.at < CENSUS_MS), { limit, at }]
  }

  get #ceiling(): number {
    return Math.max(1, Math.max(...this.#limits.map(({ limit }) => limit)) - this.#options.keepFree)
  }

  get #self(): Member {
    return { id: this.#id, held: this.#seats.size, demand: this.#hooks.demand() }
  }

  #setShare(share: number): void {
    if (share !== this.#share) {
      const { length } = this.#members
      this.#hooks.emit({ type: 'fleet-share', pool: this.#hooks.name, share, members: length, ceiling: this.#ceiling })
    }
    this.#share = share
  }

  /** Resolves with whether it got any. */
  async #claim(connection: C, count: number): Promise<boolean> {
    const { clock } = this.#hooks
    if (clock.now() < this.#pausedUntil) return false
    const ask = this.#askerOf(connection)
    const slots = await (this.#ledger as Ledger).claim(ask, count, this.#ceiling, this.#seats.slots)
    if (this.#seats.get(connection)) this.#seats.reserve(slots, connection, clock.now())
    return slots.length > 0
  }

  // The first connection, and those whose slot was lost

  /** Finds out where we are. Resolves with undefined where there can be no slots. */
  async #meet(connection: C): Promise<Ledger | undefined> {
    if (this.#fixed !== undefined) return undefined
    const ask = this.#askerOf(connection)
    const { processId, limitedRole } = await introduce(ask)
    const given = this.#hooks.processIdOf(connection)
    this.#ledger = new Ledger(JSON.stringify([this.#options.namespace, limitedRole ?? null]), this.#id)
    if (given === undefined || given === processId) return this.#ledger
    const { census } = await this.#ledger.look(ask, undefined, undefined, true)
    this.#ledger = undefined
    const { instances, keepFree } = this.#options
    const part = Math.floor(((census?.capacity ?? 1) - keepFree) / (instances ?? 1))
    this.#fixed = Math.max(1, part)
    this.#share = this.#fixed
    this.#hooks.emit({ type: 'fleet-fixed', pool: this.#hooks.name, share: this.#fixed })
    this.#apply()
    return undefined
  }

  async #seatOf(
    connection: C,
    ledger: Ledger,
    reservation: Reservation<C> | undefined,
    patience: Patience,
  ): Promise<Seat> {
    const giver = reservation && this.#seats.get(reservation.holder)
    const ask = this.#askerOf(connection)
    const { processId, hasSlot } = await ledger.enroll(ask, giver && reservation?.slot, giver?.processId)
    if (hasSlot) return new Seat(processId, reservation?.slot)
    if (reservation) this.#letGo(reservation)
    const seat = new Seat(processId, await this.#enter(connection, processId, patience))
    patience.signal.throwIfAborted()
    return seat
  }

  /** Resolves with a slot for a connection that has none, when others have given up what they must. */
  async #enter(connection: C, processId: number, { signal, deadline }: Patience): Promise<number> {
    const { clock, name } = this.#hooks
    for (let looks = 1; ; looks++) {
      const sight = await this.#see(connection)
      const view = { ...sight, ceiling: this.#ceiling }
      const { claim, share, isWaiting } = decide(view, this.#self)
      this.#setShare(Math.max(1, share))
      const ask = this.#askerOf(connection)
      const own = [...this.#seats.slots, ...(sight.slotsOf.get(processId) ?? [])]
      const [slot] = claim > 0 ? await (this.#ledger as Ledger).claim(ask, 1, view.ceiling, own) : []
      if (slot !== undefined) return slot
      const mayWait = isWaiting || !this.isSeated
      const random = this.#hooks.random()
      const waitMs = nextLookMs(sight.members.length, { isWaiting: true, mayGive: false }, random)
      if (!mayWait || looks === PATIENCE || deadline.remainingMs < waitMs) {
        throw fleetFull(name, sight.members.length, view.ceiling)
      }
      await pause(clock, waitMs, signal)
    }
  }

  async #regain(connection: C, seat: Seat): Promise<boolean> {
    const ask = this.#askerOf(connection)
    const ledger = this.#ledger as Ledger
    seat.processId = (await ledger.enroll(ask)).processId
    const others = this.#seats.slots.filter(slot => slot !== seat.slot)
    const [slot] = await ledger.claim(ask, 1, this.#ceiling, others)
    this.#hooks.emit({ type: 'slot-lost', pool: this.#hooks.name, isRegained: slot !== undefined })
    seat.slot = slot
    seat.isLost = false
    return slot !== undefined
  }

  /** Looks for sessions that hold less than they did when they were asked about. */
  #findLost(before: readonly [C, Seat][], { slotsOf }: Sight): void {
    for (const [connection, seat] of before) {
      const holds = slotsOf.get(seat.processId)
      if (this.#seats.get(connection) !== seat || (seat.slot !== undefined && holds?.has(seat.slot))) continue
      this.dropped(connection)
      void this.#visit(connection)
    }
  }

  // What is owed

  /** Gives up a reservation: used, or not to be used. */
  #letGo(reservation: Reservation<C>): void {
    const { slot, holder } = reservation
    if (this.#seats.cancel(reservation) && this.#ledger) this.#owe(holder, this.#ledger.slot(slot))
  }

  #letGoOfUnused(): void {
    const now = this.#hooks.clock.now()
    for (const each of this.#seats.untaken) {
      if (this.#seats.size > this.#share || now - each.since > UNUSED_MS) this.#letGo(each)
    }
  }

  /** Has a session let go of a lock: now if it is idle, else when its user is done with it. */
  #owe(holder: C, key: string): void {
    this.#seats.get(holder)?.owed.push(key)
    void this.#visit(holder)
  }

  async #visit(connection: C): Promise<void> {
    const lease = this.#hooks.borrow(connection)
    if (lease) await this.#attendTo(lease)
  }

  async #attendTo(lease: NonNullable<ReturnType<FleetHooks<C>['borrow']>>): Promise<void> {
    const reason = await this.attend(lease.value)
    if (reason) lease.retire(reason)
    else lease.release()
  }

  // The rest

  #apply(): void {
    const own = Math.min(this.#share, this.#seats.size) + (this.#isAtDoor ? 1 : 0)
    this.#hooks.grant(this.#fixed ?? Math.max(1, own))
  }

  #nextLookMs(isWaiting: boolean): number {
    const mayGive = this.#seats.size > 1 || this.#hooks.demand() > 1
    const calm = nextLookMs(this.#members.length, { isWaiting, mayGive }, this.#hooks.random())
    return calm * 2 ** Math.min(this.#failures, 4)
  }

  #failed(error: unknown): void {
    this.#counts.failedLooks++
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#hooks.clock.now() + FAILED_MS)
    if (this.#failures++ === 0) this.#hooks.emit({ type: 'fleet-failed', pool: this.#hooks.name, error })
  }

  #schedule(ms: number): void {
    const { clock } = this.#hooks
    const at = clock.now() + ms
    if (this.#isStopped || this.#fixed !== undefined || at >= this.#nextAt) return
    this.#timer?.cancel()
    this.#nextAt = at
    this.#timer = clock.schedule(ms, () => {
      this.#nextAt = Number.POSITIVE_INFINITY
      if (this.#isDue || this.isSeated) this.#fallDue()
    })
  }

  #fallDue(): void {
    if (!this.#isDue) this.#dueAt = this.#hooks.clock.now()
    this.#isDue = true
    const lease = this.#hooks.borrow()
    if (lease) void this.#attendTo(lease)
    // All are in use, or being validated: the first that is given back is asked, or one that is idle by then.
    else this.#schedule(AGAIN_MS)
  }

  #askerOf(connection: C): Ask {
    return text => this.#hooks.ask(connection, text)
  }
}
