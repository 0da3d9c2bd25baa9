/** A random-id attack: nine of ten requests ask for a city that does not exist, the others for known ones. */

import { createZipf } from '../load/zipf.js'
import type { Scenario } from './scenario.js'

const ABSENT_RATIO = 0.9
/** The existing cities asked for, all of them cached before, so that the load on the database is the attack's alone. */
const KNOWN = 5_000

export const penetration: Scenario = {
  name: 'penetration',
  shows: '90 % of the requests are for ids that do not exist, drawn from the whole range of ids',
  entity: 'city',
  ttlMs: 300_000,
  instances: 2,
  rate: 2_000,
  warmUpMs: 1_000,
  measureMs: { quick: 2_000, full: 15_000 },
  prime: world => world.cities.slice(0, KNOWN).map(city => city.id),
  traffic(world, random) {
    const rank = createZipf(KNOWN, random)
    const range = world.largestId - world.smallestId + 1
    const absent = (): number => {
      let id: number
      do id = world.smallestId + Math.floor(random() * range)
      while (world.byId.has(id))
      return id
    }
    return () => (random() < ABSENT_RATIO ? absent() : (world.cities[rank()]?.id ?? 0))
  },
  expectedReduction: 0.95,
}
