/** How much slower the database has become: each statement's time against the least that it ever took, by its shape. */

import { shapeOf } from '../lanes/statement.js'
import { TwoGenerations } from '../lanes/two-generations.js'

interface Shape {
  /** Since it was last judged. */
  count: number
  sumMs: number
  sumOfSquares: number
  /** How much those before them differed: their variance by the square of their mean. */
  spread: number
  /** That one took no longer than on average, as surely as that can be said. */
  leastMs: number
  /** When it was judged last. */
  judgedAt: number
}

/** Shapes that are told apart; with more of them, those that have not come for longest are forgotten. */
const MAX_SHAPES = 500
/** Of a longer text so much is looked at, and it is not kept. */
const LONGEST_TEXT = 4_096
/**
 * Executions without which nothing is judged, and with which it is in any case. Between them it takes as many as make the
 * mean known to a tenth: of a hundred short ones and a few long ones, thirty may be short by chance.
 */
const EVIDENCE = { least: 30, enough: 1_000 }
const PRECISION = 0.1
/** How many standard errors of a mean count as chance. */
const CHANCE = 2
/** Below it a time says more about this process than about the server: less counts as so much. */
const GRAIN_MS = 1
/** Time constant with which the least is forgotten, so that a table that has grown is not a slow server for ever. */
const FORGOTTEN_MS = 24 * 3_600_000

export class ExecutionTimes {
  readonly #names = new TwoGenerations<string>(MAX_SHAPES)
  readonly #shapes = new Map<string, Shape>()

  record(text: string, ms: number): void {
    const name = this.#nameOf(text)
    const shape = this.#shapes.get(name) ?? this.#add(name)
    shape.count++
    shape.sumMs += ms
    shape.sumOfSquares += ms * ms
  }

  /**
   * Returns how many times the least that it ever took the average statement takes now, beyond what may be chance; undefined
   * if there is nothing new to judge by. The mix of statements makes no difference.
   */
  slowdown(now: number): number | undefined {
    let nowMs = 0
    let leastMs = 0
    for (const [name, shape] of this.#shapes) {
      const { count } = shape
      if (!isEnough(shape)) continue
      const surplus = judge(shape, now)
      nowMs += Math.max(GRAIN_MS, surplus) * count
      leastMs += Math.max(GRAIN_MS, shape.leastMs) * count
      this.#shapes.delete(name)
      this.#shapes.set(name, shape)
    }
    return leastMs > 0 ? Math.max(1, nowMs / leastMs) : undefined
  }

  #nameOf(text: string): string {
    const known = this.#names.get(text)
    if (known !== undefined) return known
    const name = shapeOf(text.slice(0, LONGEST_TEXT))
    if (text.length <= LONGEST_TEXT) this.#names.set(text, name)
    return name
  }

  #add(name: string): Shape {
    if (this.#shapes.size >= MAX_SHAPES) {
      const [oldest = ''] = this.#shapes.keys()
      this.#shapes.delete(oldest)
    }
    const leastMs = Number.POSITIVE_INFINITY
    const shape: Shape = { count: 0, sumMs: 0, sumOfSquares: 0, spread: 0, leastMs, judgedAt: 0 }
    this.#shapes.set(name, shape)
    return shape
  }
}

function isEnough(shape: Shape): boolean {
  const { count } = shape
  if (count < EVIDENCE.least) return false
  return count >= EVIDENCE.enough || errorOf(shape) <= PRECISION
}

/** The standard error of the mean, as a part of it. */
function errorOf(shape: Shape): number {
  return Math.sqrt(Math.max(shape.spread, spreadOf(shape)) / shape.count)
}

function spreadOf({ count, sumMs, sumOfSquares }: Shape): number {
  return sumMs > 0 ? Math.max(0, (sumOfSquares * count) / (sumMs * sumMs) - 1) : 0
}

/** Takes in what has come; returns what one execution takes now at least, chance taken off. */
function judge(shape: Shape, now: number): number {
  const mean = shape.sumMs / shape.count
  const error = errorOf(shape) * mean
  shape.spread = spreadOf(shape)
  // Both by as much as may be chance, or the luckiest of many means would make all others look slow.
  const leastMs = shape.leastMs * Math.exp((now - shape.judgedAt) / FORGOTTEN_MS)
  shape.leastMs = Math.min(leastMs, mean + CHANCE * error)
  shape.judgedAt = now
  shape.count = 0
  shape.sumMs = 0
  shape.sumOfSquares = 0
  return Math.max(shape.leastMs, mean - CHANCE * error)
}
