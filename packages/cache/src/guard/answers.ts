/**
 * What an instance answers: by its own copy of the bits while Redis lets it, else by the shared bits, in one question for all
 * that ask in one turn. Sections 1 and 2 of the essay in bloom-guard.ts.
 */

import type { Clock } from '@breakwater/kernel'
import { TurnBatch } from '../load/turn-batch.js'
import { Copy } from './copy.js'
import type { Epoch, SharedBits } from './shared-bits.js'

/** How long a copy is believed without asking. */
const TRUST_MS = 500
/** The same as Redis counts it: longer than here, whatever the two clocks' speeds are. */
export const TRUST_IN_REDIS_MS = 550
/** One script holds Redis up for as long as it runs. */
const MOST_KEYS_AT_ONCE = 200

export interface AnswersParts {
  readonly shared: SharedBits
  readonly clock: Clock
  /** Whether the log is heard that feeds the copy. */
  isFed(): boolean
  /** The bits that the header named when it was last read; none while every read is let through. */
  epoch(): Epoch | undefined
  /** Reads the header; rejects if Redis does not answer. */
  look(): Promise<void>
}

export class Answers {
  readonly #parts: AnswersParts
  readonly #shared: SharedBits
  readonly #clock: Clock
  readonly #confirms = new TurnBatch<string, boolean>(MOST_KEYS_AT_ONCE, keys => this.#confirm(keys))
  #copy: Copy | undefined
  /** Adds heard of while a copy is being fetched. */
  #heardMeanwhile: [sequence: number, key: string][] | undefined
  #askingForTrust = false
  #acknowledging = false
  /** Answers "does not exist" by the copy alone, and by Redis; and reads let through, since Redis did not answer. */
  deniedHere = 0
  deniedShared = 0
  unanswered = 0

  constructor(parts: AnswersParts) {
    this.#parts = parts
    this.#shared = parts.shared
    this.#clock = parts.clock
  }

  get hasCopy(): boolean {
    return this.#copy !== undefined
  }

  /** Whether there is none, or one that will never be believed again. */
  get needsCopy(): boolean {
    return this.#copy?.isRevoked ?? true
  }

  mayContain(key: string): boolean | Promise<boolean> {
    const copy = this.#copy
    if (copy !== undefined) {
      if (copy.has(key)) return true
      const believedMs = copy.believedMs
      if (believedMs > 0) {
        if (believedMs < TRUST_MS / 2) this.#askForTrust()
        this.deniedHere++
        return false
      }
    }
    return this.#confirms.add(key)
  }

  /** Takes an add of this instance's own. */
  add(key: string): void {
    this.#copy?.add(key)
  }

  /** Takes an add that the log tells of. */
  hear(sequence: number, key: string): void {
    this.#heardMeanwhile?.push([sequence, key])
    const copy = this.#copy
    if (copy === undefined) return
    if (!copy.hear(sequence, key)) this.#parts.look().catch(() => {})
    else if (copy.isNoted) void this.#acknowledge()
  }

  /** Adds may have been missed. */
  missed(): void {
    this.#copy?.revoke()
  }

  /**
   * The header names these bits. A copy of others still tells what may exist, but not what does not: the mark above which it
   * holds has moved.
   */
  named(epoch: Epoch | undefined): void {
    if (this.#copy?.epoch.id !== epoch?.id) this.#copy?.revoke()
  }

  /** Fetches a copy of the bits that answer now, if there are any. */
  async fetch(): Promise<void> {
    const heard: [number, string][] = []
    this.#heardMeanwhile = heard
    try {
      const { state, epoch, sequence } = await this.#shared.look()
      if (state !== 'ready' || epoch === undefined) return
      const filter = await this.#shared.fetch(epoch)
      if (filter === undefined) {
        // Replaced by a newer epoch meanwhile, or lost.
        const now = await this.#shared.look()
        if (now.epoch?.id === epoch.id) await this.#shared.suspect(epoch)
        return
      }
      const copy = new Copy(epoch, filter, sequence, this.#clock)
      for (const [number, key] of heard) copy.hear(number, key)
      this.#copy = copy
    } finally {
      this.#heardMeanwhile = undefined
    }
  }

  /** Asks the shared bits. Where they do not know, or nobody answers, everything may exist. */
  async #confirm(keys: readonly string[]): Promise<readonly boolean[]> {
    try {
      for (let tries = 0; tries < 2; tries++) {
        const epoch = this.#parts.epoch()
        if (epoch === undefined) break
        const maybe = await this.#check(keys, epoch)
        if (maybe !== undefined) return maybe
        await this.#parts.look()
      }
    } catch {
      this.unanswered += keys.length
    }
    return keys.map(() => true)
  }

  async #check(keys: readonly string[], epoch: Epoch): Promise<readonly boolean[] | undefined> {
    const sentAt = this.#clock.now()
    // A copy that hears nothing would only hold up others' adds.
    const joins = this.#copy?.epoch.id === epoch.id && this.#parts.isFed() ? this.#copy : undefined
    const checked = await this.#shared.check(keys, epoch, joins?.heard, TRUST_IN_REDIS_MS)
    if (checked === undefined) return undefined
    if (checked.granted) joins?.grant(sentAt, TRUST_MS, checked.sequence)
    for (const maybe of checked.maybe) if (!maybe) this.deniedShared++
    return checked.maybe
  }

  #askForTrust(): void {
    const epoch = this.#parts.epoch()
    if (this.#askingForTrust || epoch === undefined) return
    this.#askingForTrust = true
    this.#check([], epoch)
      .catch(() => {})
      .finally(() => {
        this.#askingForTrust = false
      })
  }

  /** Tells Redis what the copy has heard of, so that adds need not wait for it: the latest, one telling at a time. */
  async #acknowledge(): Promise<void> {
    if (this.#acknowledging) return
    this.#acknowledging = true
    for (let told = 0; this.#copy !== undefined && told < this.#copy.heard; ) {
      told = this.#copy.heard
      await this.#shared.hear(told).catch(() => {})
    }
    this.#acknowledging = false
  }
}
