/** The contenders by name, the one that the others are compared with first. Each is imported only where it runs. */

import type { Contender } from './contender.js'

export const BASELINE = 'baseline'
/** The one of which something is expected. */
export const OURS = 'breakwater'

const contenders = {
  baseline: async (): Promise<Contender> => (await import('./baseline.js')).baseline,
  'caching-nulls': async (): Promise<Contender> => (await import('./caching-nulls.js')).cachingNulls,
  breakwater: async (): Promise<Contender> => (await import('./breakwater.js')).breakwater,
}

export type ContenderName = keyof typeof contenders

/** Who takes part where a scenario names nobody. */
export const USUAL: readonly ContenderName[] = [BASELINE, 'breakwater']

export function importContender(name: ContenderName): Promise<Contender> {
  return contenders[name]()
}
