/** Which of an instance's connections holds which slot, which slots are held for connections to come, and who owes what. */

/** One connection's part in the fleet. */
export class Seat {
  /** Of its session. */
  processId: number
  /** Undefined for one that was let in without, since the fleet could not be asked. */
  slot: number | undefined
  /** Its session no longer holds what it should: the application has dropped its locks. */
  isLost = false
  /** Keys of locks that its session has to let go of. */
  readonly owed: string[] = []

  constructor(processId: number, slot: number | undefined) {
    this.processId = processId
    this.slot = slot
  }

  get hasErrand(): boolean {
    return this.isLost || this.owed.length > 0
  }
}

/** A slot for a connection to come, held by the session of another. */
export interface Reservation<C> {
  readonly slot: number
  readonly holder: C
  /** Instant at which it was made. */
  readonly since: number
  /** A connection is on its way to it. */
  isTaken: boolean
}

export class Seats<C> {
  readonly #seats = new Map<C, Seat>()
  readonly #reservations = new Set<Reservation<C>>()

  /** Connections that the instance has or may open now. */
  get size(): number {
    return this.#seats.size + this.#reservations.size
  }

  /** Connections that are in the fleet. */
  get seated(): number {
    return this.#seats.size
  }

  get reserved(): number {
    return this.#reservations.size
  }

  /** Slots that are this instance's. */
  get slots(): number[] {
    const held = [...this.#seats.values()].flatMap(({ slot }) => slot ?? [])
    return [...held, ...[...this.#reservations].map(({ slot }) => slot)]
  }

  get(connection: C): Seat | undefined {
    return this.#seats.get(connection)
  }

  entries(): [C, Seat][] {
    return [...this.#seats]
  }

  seat(connection: C, seat: Seat): void {
    this.#seats.set(connection, seat)
  }

  /** Forgets a connection that is going, and what its session held for others. */
  remove(connection: C): void {
    this.#seats.delete(connection)
    for (const each of this.#reservations) if (each.holder === connection) this.#reservations.delete(each)
  }

  reserve(slots: readonly number[], holder: C, since: number): void {
    for (const slot of slots) this.#reservations.add({ slot, holder, since, isTaken: false })
  }

  /** Takes a reservation for a connection, if there is one. */
  take(): Reservation<C> | undefined {
    const reservation = [...this.#reservations].find(({ isTaken }) => !isTaken)
    if (reservation) reservation.isTaken = true
    return reservation
  }

  /** Reservations that nobody is on the way to. */
  get untaken(): Reservation<C>[] {
    return [...this.#reservations].filter(({ isTaken }) => !isTaken)
  }

  /** Returns whether it was still there. */
  cancel(reservation: Reservation<C>): boolean {
    return this.#reservations.delete(reservation)
  }
}
