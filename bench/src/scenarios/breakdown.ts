/** The hottest key expires under load: one expensive answer, asked for by everyone, fresh for two seconds only. */

import type { Scenario } from './scenario.js'

const HOT_COUNTRY = 'US'

export const breakdown: Scenario = {
  name: 'breakdown',
  shows: 'one hot, expensive report expires again and again under load',
  entity: 'country',
  ttlMs: 2_000,
  instances: 2,
  // More, and the baseline never gets out of its first storm.
  rate: 1_000,
  warmUpMs: 1_000,
  measureMs: { quick: 5_000, full: 15_000 },
  prime: () => [HOT_COUNTRY],
  traffic: () => () => HOT_COUNTRY,
  expectedReduction: 0.95,
}
