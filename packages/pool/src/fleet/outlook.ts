/** What an instance knows of its fleet, and lets it know: who is there, how much there is for all, and its own card. */

import type { Member } from './allocate.js'
import type { Ground } from './ground.js'
import type { Ledger, Sight } from './ledger.js'

/** How long the server's limits and its other users count as known. */
const CENSUS_MS = 2_000

export class Outlook<C> {
  readonly #keepFree: number
  readonly #ground: Pick<Ground<C>, 'clock' | 'demand' | 'ask'>
  readonly #owe: (holder: C, key: string) => void
  /** As last seen. */
  members: readonly Member[] = []
  /** What the card says. */
  demand = 0
  #version = 0
  #card: { readonly key: string; readonly holder: C } | undefined
  /** Readings of the last two seconds; the highest counts, as each sees connections that have not got their slot yet. */
  #limits: { readonly limit: number; readonly at: number }[] = []

  /** @param owe has a session let go of a lock. */
  constructor(
    keepFree: number,
    ground: Pick<Ground<C>, 'clock' | 'demand' | 'ask'>,
    owe: (holder: C, key: string) => void,
  ) {
    this.#keepFree = keepFree
    this.#ground = ground
    this.#owe = owe
  }

  /** Connections of all members together; undefined until the server was asked. */
  get ceiling(): number | undefined {
    if (this.#limits.length === 0) return undefined
    return Math.max(1, Math.max(...this.#limits.map(({ limit }) => limit)) - this.#keepFree)
  }

  /** Looks, and tells the others of a demand that is new. */
  async look(ledger: Ledger, connection: C): Promise<Sight & { readonly ceiling: number }> {
    const now = this.#ground.clock.now()
    const demand = this.#ground.demand()
    const put = demand === this.demand && this.#card ? undefined : ledger.card({ version: ++this.#version, demand })
    const old = put ? this.#card : undefined
    const take = old?.holder === connection ? old.key : undefined
    const isCensus = now - (this.#limits.at(-1)?.at ?? Number.NEGATIVE_INFINITY) >= CENSUS_MS / 2
    const sight = await ledger.look(text => this.#ground.ask(connection, text), put, take, isCensus)
    this.demand = demand
    if (put) this.#card = { key: put, holder: connection }
    if (old && !take) this.#owe(old.holder, old.key)
    if (sight.census) this.#note(sight.census.limit)
    this.members = sight.members
    return { ...sight, ceiling: this.ceiling ?? 1 }
  }

  /** The session has let go of all that it held. */
  lost(holder: C): void {
    if (this.#card?.holder === holder) this.#card = undefined
  }

  #note(limit: number): void {
    const at = this.#ground.clock.now()
    this.#limits = [...this.#limits.filter(each => at - each.at < CENSUS_MS), { limit, at }]
  }
}
