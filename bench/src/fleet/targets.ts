/** What a fleet on a small server must reach, each against what was measured of Breakwater's. */

import { atLeast, atMost, type Target } from '../report/target.js'
import type { FleetRound } from './results.js'

export function fleetTargets(rounds: readonly FleetRound[]): Target[] {
  const ours = rounds.find(({ contender }) => contender === 'breakwater')
  if (!ours) return []
  const { instances, refused, errors, fewest, backends, limit, shiftMs, takeoverMs } = ours
  const { replaced, rollingRefused, rollingErrors } = ours
  return [
    atMost('connections refused', 0, refused),
    atMost('queries failed', 0, errors),
    atLeast('answers of the instance with the fewest', 1, fewest),
    atMost('ms until shares have followed a shift of demand', 2_000, shiftMs),
    atMost('ms from kill -9 of one until its connections are used by others', 2_000, takeoverMs),
    atLeast('instances replaced, one after the other', instances, replaced ?? 0),
    atMost('connections refused meanwhile', 0, rollingRefused),
    atMost('queries failed meanwhile', 0, rollingErrors),
    atMost('backends at one time, at any time', limit, backends),
  ]
}
