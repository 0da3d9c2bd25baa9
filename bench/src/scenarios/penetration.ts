/** Random-id attacks: ids that do not exist, drawn from the whole range of ids. */

import type { World } from '../data/world.js'
import type { Random } from '../load/random.js'
import { createZipf } from '../load/zipf.js'
import type { Scenario } from './scenario.js'

/** The existing cities asked for, all of them cached before, so that the load on the database is the attack's alone. */
const KNOWN = 5_000

const attack: Omit<Scenario, 'name' | 'shows' | 'traffic'> = {
  entity: 'city',
  contenders: ['baseline', 'caching-nulls', 'breakwater'],
  ttlMs: 300_000,
  instances: 2,
  rate: 2_000,
  warmUpMs: 1_000,
  measureMs: { quick: 2_000, full: 15_000 },
  prime: world => world.cities.slice(0, KNOWN).map(city => city.id),
  expectedReduction: 0.99,
}

/** Returns a function that draws ids of which the given part does not exist. */
function drawIds(world: World, random: Random, absentRatio: number): () => number {
  const rank = createZipf(KNOWN, random)
  const range = world.largestId - world.smallestId + 1
  const absent = (): number => {
    let id: number
    do id = world.smallestId + Math.floor(random() * range)
    while (world.byId.has(id))
    return id
  }
  return () => (random() < absentRatio ? absent() : (world.cities[rank()]?.id ?? 0))
}

export const penetration: Scenario = {
  ...attack,
  name: 'penetration',
  shows: '90 % of the requests are for ids that do not exist, drawn from the whole range of ids',
  traffic: (world, random) => drawIds(world, random, 0.9),
}

export const penetrationOnly: Scenario = {
  ...attack,
  name: 'penetration-only',
  shows: 'every request is for an id that does not exist (only if named)',
  onlyIfNamed: true,
  traffic: (world, random) => drawIds(world, random, 1),
}
