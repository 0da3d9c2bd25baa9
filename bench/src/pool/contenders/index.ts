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
  'pg.Client': async (): Promise<PoolContender> => (await import('./pg-client.js')).pgClient,
  'bare protocol': async (): Promise<PoolContender> => (await import('./bare-protocol.js')).bareProtocol,
}

export type PoolContenderName = keyof typeof contenders

export const allContenders: readonly PoolContenderName[] = [PEER, 'breakwater', 'generic-pool', 'tarn', 'postgres.js']

/** No pools, but the limits of one: a single connection of pg's, pipelining, and one with nothing around it at all. */
export const limits: readonly PoolContenderName[] = ['pg.Client', 'bare protocol']

export function importContender(name: PoolContenderName): Promise<PoolContender> {
  return contenders[name]()
}
