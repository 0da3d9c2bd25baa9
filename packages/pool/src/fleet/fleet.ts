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
 * What is seen, and told to the others, is the `Outlook`; when it is seen is for `Looks` to say; what is held is in `Seats`.
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

import type { Deadline } from '@breakwater/kernel'
import type { Member } from './allocate.js'
import { arrive } from './arrive.js'
import { Caution } from './caution.js'
import type { Ground } from './ground.js'
import type { Ask, Ledger, Sight } from './ledger.js'
import { Looks } from './looks.js'
import type { ResolvedFleet } from './options.js'
import { Outlook } from './outlook.js'
import { pause } from './pause.js'
import { decide, nextLookMs, type View } from './policy.js'
import { type Reservation, Seat, Seats } from './seats.js'
import { type FleetStats, fleetFull, fleetUnknown, isFleetFull } from './telling.js'

/** How long a connection waits for its slot. */
interface Patience {
  readonly signal: AbortSignal
  readonly deadline: Deadline
}

/** Looks that a connection without a slot waits for one to be given up. */
const PATIENCE = 12
/** A slot that was reserved in vain is let go of. */
const UNUSED_MS = 1_000

export class Fleet<C extends object> {
  readonly #options: ResolvedFleet
  readonly #ground: Ground<C>
  readonly #seats = new Seats<C>()
  readonly #outlook: Outlook<C>
  readonly #looks: Looks
  readonly #caution: Caution
  /** Told from those of others by chance; 31 bits hold a fleet of thousands. */
  readonly #id: number
  #ledger: Ledger | undefined
  /** Set for good where there can be no slots. */
  #fixed: number | undefined
  #share = Number.POSITIVE_INFINITY
  /** What a look would show has changed by our own doing. */
  #isWorthALook = false
  /** A connection without a slot is on its way in. */
  #isAtDoor = false
  /** Connections that are with the fleet, not with a user. */
  attending = 0
  readonly #counts = { looks: 0, failedLooks: 0, lostSlots: 0, refused: 0 }

  constructor(options: ResolvedFleet, ground: Ground<C>) {
    this.#options = options
    this.#ground = ground
    this.#id = 1 + Math.floor(ground.random() * (2 ** 31 - 2))
    this.#caution = new Caution(ground.clock)
    this.#outlook = new Outlook(options.keepFree, ground, (holder, key) => this.#owe(holder, key))
    this.#looks = new Looks(ground.clock, { isSeated: () => this.isSeated, begin: () => this.#visit() })
    this.#apply()
  }

  stats(): FleetStats {
    const { seated, reserved } = this.#seats
    const { demand, ceiling } = this.#outlook
    const members = this.#fixed === undefined ? this.#outlook.members.length : undefined
    const share = Number.isFinite(this.#share) ? this.#share : undefined
    const mode = this.#fixed !== undefined ? 'fixed' : share === undefined ? 'joining' : 'shared'
    return { mode, share, held: seated, reserved, demand, members, ceiling, ...this.#counts }
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
    if (!this.#ledger && !(await this.#meet(connection))) return
    const reservation = this.#seats.take()
    try {
      this.#seats.seat(connection, await this.#seatOf(connection, reservation, { signal, deadline }))
      this.#caution.joined()
    } catch (error) {
      // A statement that the server refused, for whatever reason, must not keep the instance from its one connection.
      if (isFleetFull(error) || signal.aborted || !this.#ground.isUsable(connection)) throw error
      this.#failed(error)
      if (this.isSeated) throw fleetUnknown(this.#ground.name, error)
      this.#seats.seat(connection, new Seat(0, undefined))
    } finally {
      this.#isAtDoor = false
      if (reservation) this.#letGo(reservation)
      this.#apply()
    }
    const isShort = this.#ground.demand() > this.#seats.size
    this.#looks.plan(isShort ? 0 : this.#nextLookMs(false))
  }

  /** For a connection that is being closed, in the tick in which the pool stops counting it. */
  leave(connection: C): void {
    this.#seats.remove(connection)
    this.#isWorthALook = true
    this.#outlook.lost(connection)
    this.#apply()
  }

  /** The server has refused a connection, because it has no more. */
  refused(): void {
    this.#counts.refused++
    this.#ground.emit({ type: 'server-full', pool: this.#ground.name })
    this.#caution.refused()
    for (const each of this.#seats.untaken) this.#letGo(each)
    this.#apply()
  }

  /** The application has dropped the locks of a connection's session. */
  dropped(connection: C): void {
    const seat = this.#seats.get(connection)
    if (!seat || seat.isLost) return
    seat.isLost = true
    this.#counts.lostSlots++
    this.#outlook.lost(connection)
  }

  // Looking

  /** Whether something is to be done on a connection before its next user gets it. */
  isNeeded(connection: C): boolean {
    if (this.#looks.isStopped) return false
    return this.#looks.isNeeded || this.#seats.get(connection)?.hasErrand === true
  }

  /** Does it. Resolves with why the connection has to go, if it has to; never rejects. */
  async attend(connection: C): Promise<'surplus' | 'unhealthy' | undefined> {
    const seat = this.#seats.get(connection)
    this.attending++
    try {
      if (!seat || !this.#ledger) return undefined
      await this.#ledger.release(this.#askerOf(connection), seat.owed.splice(0))
      if (this.#looks.isNeeded) await this.#lookOn(connection)
      if (seat.isLost && !(await this.#regain(connection, seat))) return 'surplus'
    } catch (error) {
      // Not with every user from now on: the next look finds it again.
      if (seat) seat.isLost = false
      this.#failed(error)
    } finally {
      this.attending--
    }
    return this.#ground.isUsable(connection) ? undefined : 'unhealthy'
  }

  /** A caller has to wait; to be told again while he does. */
  press(): void {
    const looks = this.#looks
    if (!this.isSeated || looks.isStopped) return
    if (looks.isDue) this.#knock()
    else if (this.#isWorthALook || this.#ground.demand() > this.#outlook.demand) looks.hurry()
  }

  /** Opens the door if it is time: no connection has come back for so long that nothing can be asked for. */
  #knock(): void {
    const isTime = this.#looks.isLate && !this.#caution.isOn
    if (!isTime || this.#isAtDoor || this.#ground.demand() <= this.#seats.size) return
    this.#isAtDoor = true
    this.#apply()
  }

  /** The connection that was to come did not. */
  closeDoor(): void {
    this.#isAtDoor = false
    this.#apply()
  }

  stop(): void {
    this.#looks.stop()
  }

  #lookOn(connection: C): Promise<void> {
    return this.#looks.make(async () => {
      let isWaiting = false
      try {
        const before = this.#seats.entries()
        const sight = await this.#see(connection)
        this.#findLost(before, sight)
        const decision = decide(sight, this.#self)
        isWaiting = decision.isWaiting
        this.#setShare(decision.share, sight.ceiling)
        this.#letGoOfUnused()
        this.#isWorthALook = decision.claim > 0 && (await this.#claim(connection, decision.claim, sight.ceiling))
        this.#caution.looked()
      } catch (error) {
        this.#failed(error)
      }
      this.#apply()
      return this.#nextLookMs(isWaiting)
    })
  }

  async #see(connection: C): Promise<Sight & View> {
    this.#counts.looks++
    this.#looks.lastAt = this.#ground.clock.now()
    const sight = await this.#outlook.look(this.#ledger as Ledger, connection)
    this.#looks.isDue = false
    return sight
  }

  get #self(): Member {
    return { id: this.#id, held: this.#seats.size, demand: this.#ground.demand() }
  }

  #setShare(share: number, ceiling: number): void {
    if (share !== this.#share) {
      const { length } = this.#outlook.members
      this.#ground.emit({ type: 'fleet-share', pool: this.#ground.name, share, members: length, ceiling })
    }
    this.#share = share
  }

  /** Resolves with whether it got any. */
  async #claim(connection: C, count: number, ceiling: number): Promise<boolean> {
    if (this.#caution.isOn) return false
    const ask = this.#askerOf(connection)
    const slots = await (this.#ledger as Ledger).claim(ask, count, ceiling, this.#seats.slots)
    if (this.#seats.get(connection)) this.#seats.reserve(slots, connection, this.#ground.clock.now())
    return slots.length > 0
  }

  // The first connection, and those whose slot was lost

  /** Finds out where we are. Resolves with whether there can be slots. */
  async #meet(connection: C): Promise<boolean> {
    if (this.#fixed !== undefined) return false
    const given = this.#ground.processIdOf(connection)
    const where = await arrive(this.#askerOf(connection), given, this.#options, this.#id)
    if ('ledger' in where) {
      this.#ledger = where.ledger
      return true
    }
    this.#fixed = where.part
    this.#share = where.part
    this.#ground.emit({ type: 'fleet-fixed', pool: this.#ground.name, share: where.part })
    this.#apply()
    return false
  }

  async #seatOf(connection: C, reservation: Reservation<C> | undefined, patience: Patience): Promise<Seat> {
    const ledger = this.#ledger as Ledger
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
    const { clock, name } = this.#ground
    for (let looks = 1; ; looks++) {
      const sight = await this.#see(connection)
      const { claim, share, isWaiting } = decide(sight, this.#self)
      this.#setShare(Math.max(1, share), sight.ceiling)
      const ask = this.#askerOf(connection)
      const own = [...this.#seats.slots, ...(sight.slotsOf.get(processId) ?? [])]
      const [slot] = claim > 0 ? await (this.#ledger as Ledger).claim(ask, 1, sight.ceiling, own) : []
      if (slot !== undefined) return slot
      const mayWait = isWaiting || !this.isSeated
      const random = this.#ground.random()
      const waitMs = nextLookMs(sight.members.length, { isWaiting: true, mayGive: false }, random)
      if (!mayWait || looks === PATIENCE || deadline.remainingMs < waitMs) {
        throw fleetFull(name, sight.members.length, sight.ceiling)
      }
      await pause(clock, waitMs, signal)
    }
  }

  async #regain(connection: C, seat: Seat): Promise<boolean> {
    const ask = this.#askerOf(connection)
    const ledger = this.#ledger as Ledger
    seat.processId = (await ledger.enroll(ask)).processId
    const others = this.#seats.slots.filter(slot => slot !== seat.slot)
    const [slot] = await ledger.claim(ask, 1, this.#outlook.ceiling ?? 1, others)
    this.#ground.emit({ type: 'slot-lost', pool: this.#ground.name, isRegained: slot !== undefined })
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
      this.#visit(connection)
    }
  }

  // What is owed

  /** Gives up a reservation: used, or not to be used. */
  #letGo(reservation: Reservation<C>): void {
    const { slot, holder } = reservation
    if (this.#seats.cancel(reservation) && this.#ledger) this.#owe(holder, this.#ledger.slot(slot))
  }

  #letGoOfUnused(): void {
    const isOld = ({ since }: Reservation<C>): boolean => this.#ground.clock.now() - since > UNUSED_MS
    for (const each of this.#seats.untaken) if (this.#seats.size > this.#share || isOld(each)) this.#letGo(each)
  }

  /** Has a session let go of a lock: now if it is idle, else when its user is done with it. */
  #owe(holder: C, key: string): void {
    this.#seats.get(holder)?.owed.push(key)
    this.#visit(holder)
  }

  /** Has an idle connection, or that one if it is idle, do what it has to; returns whether there was one. */
  #visit(connection?: C): boolean {
    const lease = this.#ground.borrow(connection)
    if (lease) void this.#attendTo(lease)
    return lease !== undefined
  }

  async #attendTo(lease: NonNullable<ReturnType<Ground<C>['borrow']>>): Promise<void> {
    const reason = await this.attend(lease.value)
    if (reason) lease.retire(reason)
    else lease.release()
  }

  #apply(): void {
    const own = Math.min(this.#share, this.#seats.size) + (this.#isAtDoor ? 1 : 0)
    this.#ground.grant(this.#fixed ?? Math.max(1, own))
  }

  #nextLookMs(isWaiting: boolean): number {
    const mayGive = this.#seats.size > 1 || this.#ground.demand() > 1
    const calm = nextLookMs(this.#outlook.members.length, { isWaiting, mayGive }, this.#ground.random())
    return calm * 2 ** Math.min(this.#caution.failures, 4)
  }

  #failed(error: unknown): void {
    this.#counts.failedLooks++
    this.#caution.failed()
    if (this.#caution.failures === 1) this.#ground.emit({ type: 'fleet-failed', pool: this.#ground.name, error })
  }

  #askerOf(connection: C): Ask {
    return text => this.#ground.ask(connection, text)
  }
}
