/** One place in the pool: what stands in it, and what its age and use say about it. */

import type { Creation } from './creation.js'

/** Why a resource was destroyed. */
export type RetireReason =
  /** Not used for longer than `idleTimeout`. */
  | 'idle'
  /** Reached `maxLifetime` or `maxUses`. */
  | 'lifetime'
  /** Lost, invalid, or given back as broken. */
  | 'unhealthy'
  /** Still leased when the pool's time was up. */
  | 'leaked'
  /** Nobody needs it: it came after its creation had been given up. */
  | 'surplus'
  /** The pool is stopping. */
  | 'drained'

/**
 * opening: the factory is at work. checking: taken from the idle ones to be validated. leased: a caller has it.
 * closed: the pool is done with it, and so is whoever still refers to it.
 */
export type SlotState = 'opening' | 'idle' | 'checking' | 'leased' | 'closed'

export class Slot<T> {
  state: SlotState = 'opening'
  /** Unset while opening. */
  value!: T
  /** Instants of the pool's clock. */
  createdAt = 0
  idleSince = 0
  /** Leases that have ended. */
  uses = 0
  /** Set while opening. */
  creation: Creation<T> | undefined = undefined
  /** Set when its resource is to be destroyed: now, or as soon as its lease ends. */
  retired: RetireReason | undefined = undefined
}
