/** One place in the pool: what stands in it, and what its age and use say about it. */

import type { Creation } from './creation.js'
import type { Acquirer } from './leaks.js'

/** Why a resource was destroyed. */
export type RetireReason =
  /** Not used for longer than `idleTimeout`. */
  | 'idle'
  /** Reached `maxLifetime` or `maxUses`. */
  | 'lifetime'
  /** Lost, invalid, or given back as broken. */
  | 'unhealthy'
  /** Leased for too long and taken away, or still leased when the pool's time was up. */
  | 'leaked'
  /** There is no place for it: it came after its creation had been given up, or the pool has been made smaller. */
  | 'surplus'
  /** The pool is stopping. */
  | 'drained'

/**
 * opening: the factory is at work. checking: taken from the idle ones to be validated. leased: a caller has it.
 * borrowed: its owner has it for a moment, which is no use of it. closed: the pool is done with it, and so is whoever
 * still refers to it.
 */
export type SlotState = 'opening' | 'idle' | 'checking' | 'leased' | 'borrowed' | 'closed'

export class Slot<T> {
  state: SlotState = 'opening'
  /** Unset while opening. */
  value!: T
  /** Instants of the pool's clock. */
  expiresAt: number = Number.POSITIVE_INFINITY
  idleSince = 0
  /** When it was last known to work: made, used or found valid. */
  provenAt = 0
  leasedAt = 0
  /** Others may join its lease. */
  isShared = false
  /** Leases that have ended. */
  uses = 0
  /** Set while opening. */
  creation: Creation<T> | undefined = undefined
  /** Set while opening, if it takes the place of one that has reached its lifetime. */
  replaces: Slot<T> | undefined = undefined
  /** A replacement was opened; this one goes when that has come, or has not. */
  isReplaced = false
  /** Who has the lease, where leaks are looked for. */
  acquirer: Acquirer | undefined = undefined
  /** Set when its resource is to be destroyed: now, or as soon as its lease ends. */
  retired: RetireReason | undefined = undefined
}
