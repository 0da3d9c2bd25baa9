/** The scenarios by name, in the order in which they run. */

import { breakdown } from './breakdown.js'
import { penetration, penetrationOnly } from './penetration.js'
import type { Scenario } from './scenario.js'
import { steady } from './steady.js'

export const scenarios: readonly Scenario[] = [steady, penetration, breakdown, penetrationOnly]

/** Returns the scenario of that name, `undefined` if there is none. */
export function findScenario(name: string): Scenario | undefined {
  return scenarios.find(scenario => scenario.name === name)
}
