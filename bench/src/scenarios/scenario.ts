/** A question put to every contender: which traffic, how much of it, for how long, and what is expected to come out. */

import type { ContenderName } from '../contenders/index.js'
import type { Entity, Id } from '../data/entity.js'
import type { World } from '../data/world.js'
import type { Random } from '../load/random.js'

export interface Scenario {
  readonly name: string
  /** One line for the reader of the table. */
  readonly shows: string
  readonly entity: Entity['name']
  /** Who takes part, the baseline first. Default: the baseline and Breakwater. */
  readonly contenders?: readonly ContenderName[]
  /** Left out of a run without names. */
  readonly onlyIfNamed?: true
  /** How long an answer is fresh, in ms, whole seconds; the same for every contender. */
  readonly ttlMs: number
  /** Processes a contender. */
  readonly instances: number
  /** Requests a second, all instances together; low enough that the machine is not the limit for Breakwater. */
  readonly rate: number
  /** Ms before each measured window under the same traffic; at least 1,000, the warm-up that heavy libraries need. */
  readonly warmUpMs: number
  /** Ms of a measured window. */
  readonly measureMs: { readonly quick: number; readonly full: number }
  /** The ids that are read once before anything is measured, shared out over the instances. */
  prime(world: World): readonly Id[]
  /** Returns a function that draws the next id asked for. */
  traffic(world: World, random: Random): () => Id
  /** The share of the baseline's database queries that Breakwater must take away, 0..1. */
  readonly expectedReduction?: number
}
