/** An ordinary day: cities are asked for as their size has it, and many of the rare ones are in no cache yet. */

import { createZipf } from '../load/zipf.js'
import type { Scenario } from './scenario.js'

/** Of 135,233 cities; about three quarters of the requests are for one of them. */
const PRIMED = 5_000

export const steady: Scenario = {
  name: 'steady',
  shows: 'Zipf traffic over existing cities: what a layer costs or gains when nothing goes wrong',
  entity: 'city',
  ttlMs: 300_000,
  instances: 2,
  rate: 2_000,
  warmUpMs: 1_000,
  measureMs: { quick: 2_000, full: 15_000 },
  prime: world => world.cities.slice(0, PRIMED).map(city => city.id),
  traffic(world, random) {
    const rank = createZipf(world.cities.length, random)
    return () => world.cities[rank()]?.id ?? 0
  },
}
