/** The order of a fair comparison: in turns, never at the same time, so that what the machine does it does to all alike. */

/** Calls `visit` for each lane in each round, rounds from 1, every other round in reverse order. */
export async function inTurns<L>(
  lanes: readonly L[],
  rounds: number,
  visit: (lane: L, round: number) => Promise<void>,
): Promise<void> {
  for (let round = 1; round <= rounds; round++) {
    for (const lane of round % 2 === 1 ? lanes : lanes.toReversed()) await visit(lane, round)
  }
}
