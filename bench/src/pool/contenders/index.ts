/** The contenders by name, the one that the others are compared with first. Each is imported only where it runs. */

import type { PoolContender } from './contender.js'

/** What the others are compared with. */
export const PEER = 'pg.Pool'

const contenders = {
  'pg.Pool': async (): Promise<PoolContender> => (await import('./pg-pool.js')).pgPool,
  breakwater: async (): Promise<PoolContender> => (await import('./breakwater.js')).breakwater,
  'generic-pool': async (): Promise<PoolContender> => (await import('./generic-pool.js')).genericPool,
  tarn: async (): Promise<PoolContender> => (await import('./tarn.js')).tarn,
  'postgres.js': async (): Promise<PoolContender> => (await import('./postgres-js.js')).postgresJs,
}

export type PoolContenderName = keyof typeof contenders

export const allContenders: readonly PoolContenderName[] = [PEER, 'breakwater', 'generic-pool', 'tarn', 'postgres.js']

export function importContender(name: PoolContenderName): Promise<PoolContender> {
  return contenders[name]()
}
