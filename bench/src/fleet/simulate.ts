/** A fleet of any size on a clock of its own, each member by the very rule that the library goes by; locks are a counter. */

import { decide, nextLookMs } from '@breakwater/pool/fleet-policy'
import { FakeClock } from '@breakwater/testkit'
import { createRandom, type Random } from '../load/random.js'
import type { PoolRun } from '../pool/pool-run.js'
import type { Phase, Simulated } from './results.js'

/** Connections for all, a member: too few for what is wanted in each phase but the first. */
const CONNECTIONS_A_MEMBER = 2.5
/** A backend that is told to go is gone, and a new one is there. */
const CLOSE_MS = 10
const OPEN_MS = 20
/** A caller who has to wait has the fleet looked at so soon; see `Fleet`. */
const PRESSED_MS = 50
const PHASE_MS = 60_000
const STEP_MS = 50
/** Settled: what is held differs from the fair division by no more than this part of all. */
const SETTLED_RATIO = 0.03

interface SimulatedMember {
  readonly id: number
  demand: number
  published: number
  held: number
  lookAt: number
}

const SIZES = [8, 100, 1_000]

/** Resolves to what became of fleets of three sizes. */
export async function simulateFleets({ seed, signal, onStep }: PoolRun): Promise<Simulated[]> {
  const found: Simulated[] = []
  for (const size of SIZES) {
    onStep(`fleet-sim: ${size} members`)
    found.push(await simulate(size, seed, signal))
  }
  return found
}

export async function simulate(size: number, seed: number, signal: AbortSignal): Promise<Simulated> {
  const fleet = new SimulatedFleet(size, createRandom(seed, `fleet/${size}`))
  const phases: Phase[] = []
  const phase = async (name: string, change: () => void): Promise<void> => {
    signal.throwIfAborted()
    change()
    phases.push(await fleet.settle(name))
  }
  await phase('all start within a second', () => fleet.start(size))
  await phase('a tenth wants eight times as much', () => fleet.wantMore(0.1, 8))
  await phase('another tenth does', () => fleet.wantMore(0.1, 8))
  await phase('a fifth is killed', () => fleet.kill(0.2))
  await phase('as many come anew', () => fleet.start(size - fleet.size))
  return { members: size, ceiling: fleet.ceiling, most: fleet.most, phases }
}

class SimulatedFleet {
  readonly ceiling: number
  /** The most that were held at one time. */
  most = 0
  readonly #clock = new FakeClock()
  readonly #random: Random
  #members = new Map<number, SimulatedMember>()
  #ids = 0
  #looks = 0

  constructor(size: number, random: Random) {
    this.ceiling = Math.ceil(size * CONNECTIONS_A_MEMBER)
    this.#random = random
  }

  get size(): number {
    return this.#members.size
  }

  start(count: number): void {
    for (let started = 0; started < count; started++) {
      const member = { id: ++this.#ids, demand: 2, published: 0, held: 0, lookAt: 0 }
      this.#clock.schedule(this.#random() * 1_000, () => {
        this.#members.set(member.id, member)
        this.#lookIn(member, OPEN_MS)
      })
    }
  }

  /** A part of the members wants so much, all others what they wanted at first. */
  wantMore(ratio: number, demand: number): void {
    for (const member of this.#members.values()) {
      member.demand = this.#random() < ratio ? demand * 2 : 2
      if (member.demand > member.held) this.#lookIn(member, this.#random() * PRESSED_MS)
    }
  }

  kill(ratio: number): void {
    for (const { id } of [...this.#members.values()]) if (this.#random() < ratio) this.#members.delete(id)
  }

  /** Runs until the phase is over; resolves with how long it took to settle, and what it cost. */
  async settle(name: string): Promise<Phase> {
    const startedAt = this.#clock.now()
    const looksBefore = this.#looks
    let settledMs: number | null = null
    let looksToSettle = 0
    while (this.#clock.now() - startedAt < PHASE_MS) {
      await this.#clock.advance(STEP_MS)
      const ms = this.#clock.now() - startedAt
      // Those that start are all there after a second.
      if (ms <= 1_000 && name.includes('start') === true) continue
      if (!this.#isSettled()) settledMs = null
      else if (settledMs === null) {
        settledMs = ms
        looksToSettle = this.#looks - looksBefore
      }
    }
    const lasted = (PHASE_MS - (settledMs ?? PHASE_MS)) / 1_000
    const after = this.#looks - looksBefore - looksToSettle
    return {
      name,
      settledMs,
      looksASecond: settledMs === null ? 0 : (looksToSettle * 1_000) / settledMs,
      looksASecondAtRest: lasted > 0 ? after / lasted : 0,
      fairness: this.#fairness(),
    }
  }

  #lookIn(member: SimulatedMember, ms: number): void {
    const at = this.#clock.now() + ms
    member.lookAt = at
    this.#clock.schedule(ms, () => {
      // Killed meanwhile, or looking at another time.
      if (member.lookAt === at && this.#members.get(member.id) === member) this.#look(member)
    })
  }

  #look(member: SimulatedMember): void {
    this.#looks++
    member.published = member.demand
    const members = [...this.#members.values()].map(({ id, held, published }) => ({ id, held, demand: published }))
    const held = this.#held
    const self = { id: member.id, held: member.held, demand: member.demand }
    const { share, claim, isWaiting } = decide({ members, held, ceiling: this.ceiling }, self)
    // The locks let nobody have what another has.
    member.held += Math.min(claim, this.ceiling - held)
    this.most = Math.max(this.most, this.#held)
    if (share < member.held) this.#clock.schedule(CLOSE_MS, () => this.#giveUp(member, share))
    const mayGive = member.held > 1 || member.demand > 1
    this.#lookIn(member, nextLookMs(members.length, { isWaiting, mayGive }, this.#random()))
  }

  #giveUp(member: SimulatedMember, share: number): void {
    member.held = Math.min(member.held, share)
  }

  get #held(): number {
    let held = 0
    for (const member of this.#members.values()) held += member.held
    return held
  }

  /** Compared with what a look at the true demands would give to each. */
  #isSettled(): boolean {
    const ideal = this.#ideal()
    const off = [...this.#members.values()].reduce(
      (sum, { id, held }) => sum + Math.abs(held - (ideal.get(id) ?? 0)),
      0,
    )
    return off <= Math.max(1, this.ceiling * SETTLED_RATIO)
  }

  #ideal(): Map<number, number> {
    const members = [...this.#members.values()].map(({ id, held, demand }) => ({ id, held, demand }))
    const level = (limit: number): number => members.reduce((sum, { demand }) => sum + Math.min(demand, limit), 0)
    let limit = 1
    while (limit < 100 && level(limit + 1) <= this.ceiling) limit++
    // What does not divide, and what nobody wants, may be anyone's.
    return new Map(
      members.map(({ id, held, demand }) => {
        const least = Math.min(demand, limit)
        const most = demand > limit ? limit + 1 : Math.max(demand, held)
        return [id, Math.min(most, Math.max(least, held))]
      }),
    )
  }

  /** Jain's index of what each has of what it wants, for those that want more than they have: 1 if all have the same. */
  #fairness(): number {
    const short = [...this.#members.values()].filter(({ held, demand }) => held < demand).map(({ held }) => held)
    if (short.length === 0) return 1
    const sum = short.reduce((total, held) => total + held, 0)
    return (sum * sum) / (short.length * short.reduce((total, held) => total + held * held, 0))
  }
}
