/** How much slower the database has become: each statement's time against the least that it ever took, by its text. */

interface Shape {
  /** Since it was last judged. */
  count: number
  sumMs: number
  sumOfSquares: number
  /** Smoothed mean of one execution; undefined until there is evidence. */
  recentMs: number | undefined
  leastMs: number
}

/** Texts that are told apart; with more of them, those that have not come for longest are forgotten. */
const MAX_SHAPES = 500
/** Executions without which nothing is judged: of times that differ much, fewer have a mean of little meaning. */
const EVIDENCE = 30
/** Weight of the last mean in the smoothed one. */
const FRESH = 0.5
/** How many standard errors of the smoothed mean count as chance. */
const CHANCE = 2
/** By how much the least grows at each judgement, so that a table that has grown is not a slow server for ever. */
const FORGOTTEN = 1.001

export class ExecutionTimes {
  readonly #shapes = new Map<string, Shape>()

  record(text: string, ms: number): void {
    const shape = this.#shapes.get(text) ?? this.#add(text)
    shape.count++
    shape.sumMs += ms
    shape.sumOfSquares += ms * ms
  }

  /**
   * Returns how many times the least that it ever took the average statement takes now, beyond what may be chance; undefined
   * if there is nothing new to judge by. The mix of statements makes no difference.
   */
  slowdown(): number | undefined {
    let nowMs = 0
    let leastMs = 0
    for (const [text, shape] of this.#shapes) {
      const { count } = shape
      if (count < EVIDENCE) continue
      const surplus = judge(shape)
      nowMs += surplus * count
      leastMs += shape.leastMs * count
      this.#shapes.delete(text)
      this.#shapes.set(text, shape)
    }
    return leastMs > 0 ? Math.max(1, nowMs / leastMs) : undefined
  }

  #add(text: string): Shape {
    if (this.#shapes.size >= MAX_SHAPES) {
      const [oldest = ''] = this.#shapes.keys()
      this.#shapes.delete(oldest)
    }
    const shape: Shape = { count: 0, sumMs: 0, sumOfSquares: 0, recentMs: undefined, leastMs: Number.POSITIVE_INFINITY }
    this.#shapes.set(text, shape)
    return shape
  }
}

/** Takes in what has come; returns what one execution takes now at least, chance taken off. */
function judge(shape: Shape): number {
  const { count, sumMs, sumOfSquares, recentMs } = shape
  const mean = sumMs / count
  const variance = Math.max(0, sumOfSquares / count - mean * mean)
  const recent = recentMs === undefined ? mean : recentMs + FRESH * (mean - recentMs)
  shape.recentMs = recent
  shape.leastMs = Math.min(shape.leastMs * FORGOTTEN, recent)
  shape.count = 0
  shape.sumMs = 0
  shape.sumOfSquares = 0
  // Of a mean that is smoothed so: its weights squared add up to FRESH / (2 - FRESH).
  const error = Math.sqrt((variance / count) * (FRESH / (2 - FRESH)))
  return Math.max(shape.leastMs, recent - CHANCE * error)
}
