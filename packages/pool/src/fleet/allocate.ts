/** How a budget is shared: the same division by every member that sees the same fleet, with nobody to do it for them. */

/** One instance, as the others see it. */
export interface Member {
  /** Unique in its fleet. */
  readonly id: number
  /** Slots that its connections hold, or have reserved. */
  readonly held: number
  /** Connections that it has use for. */
  readonly demand: number
}

/**
 * Returns how many connections each member may hold, in the members' order; together at most `ceiling`.
 *
 * Max-min fair over the demands: nobody gets more of what is short than one who gets less than it asked for, and whoever
 * asks for little gets it whole. Each counts as asking for one at least; where there are fewer than members, those who
 * hold one keep it. What nobody asks for stays with those who hold more than they ask for, so that a connection is given
 * up only for somebody. Whole connections: those left over by a division go to whoever holds most, then to the lowest id,
 * so that a division that is repeated moves nothing.
 *
 * Source: D. Bertsekas, R. Gallager, "Data Networks" (1992), section 6.5.2, "Max-Min Flow Control".
 */
export function allocate(members: readonly Member[], ceiling: number): number[] {
  const order = members.map((_, at) => at).sort((a, b) => precedence(members[a] as Member, members[b] as Member))
  const wanted = members.map(({ demand }) => Math.max(1, demand))
  const granted = fill(wanted, order, ceiling)
  const left = ceiling - sum(granted)
  if (left <= 0) return granted
  const surplus = members.map(({ held }, at) => Math.max(0, held - (granted[at] as number)))
  const kept = fill(surplus, order, left)
  return granted.map((own, at) => own + (kept[at] as number))
}

/** Fills all to one level, those that want less to what they want; what does not divide goes by `order`. */
function fill(wanted: readonly number[], order: readonly number[], capacity: number): number[] {
  const ascending = [...wanted].sort((a, b) => a - b)
  let left = Math.max(0, capacity)
  let level = Number.POSITIVE_INFINITY
  for (const [filled, want] of ascending.entries()) {
    const equal = Math.floor(left / (wanted.length - filled))
    if (want > equal) {
      level = equal
      break
    }
    left -= want
  }
  const granted = wanted.map(want => Math.min(want, level))
  left = Math.max(0, capacity) - sum(granted)
  for (const at of order) {
    if (left === 0) break
    if ((granted[at] as number) >= (wanted[at] as number)) continue
    granted[at] = (granted[at] as number) + 1
    left--
  }
  return granted
}

function precedence(a: Member, b: Member): number {
  return b.held - a.held || a.id - b.id
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
