/** The contenders by name. Each is imported only where it runs. */

import type { CacheContender, Tiers } from './contender.js'

const contenders = {
  breakwater: async (): Promise<CacheContender> => (await import('./breakwater.js')).breakwater,
  'layered-loader': async (): Promise<CacheContender> => (await import('./layered-loader.js')).layeredLoader,
  bentocache: async (): Promise<CacheContender> => (await import('./bentocache.js')).bentocache,
  'cache-manager': async (): Promise<CacheContender> => (await import('./cache-manager.js')).cacheManager,
  cacheable: async (): Promise<CacheContender> => (await import('./cacheable.js')).cacheable,
  'async-cache-dedupe': async (): Promise<CacheContender> => (await import('./async-cache-dedupe.js')).asyncCacheDedupe,
  cachified: async (): Promise<CacheContender> => (await import('./cachified.js')).cachified,
  ioredis: async (): Promise<CacheContender> => (await import('./ioredis.js')).ioredis,
  'ioredis, auto-pipelining': async (): Promise<CacheContender> => (await import('./ioredis.js')).ioredisAutoPipelining,
}

export type CacheContenderName = keyof typeof contenders

export const OURS = 'breakwater'

const TIERS: Readonly<Record<CacheContenderName, readonly Tiers[]>> = {
  breakwater: ['memory', 'redis', 'both'],
  'layered-loader': ['memory', 'redis', 'both'],
  bentocache: ['memory', 'redis', 'both'],
  'cache-manager': ['memory', 'redis', 'both'],
  cacheable: ['memory', 'both'],
  'async-cache-dedupe': ['memory', 'redis'],
  cachified: ['memory', 'redis'],
  ioredis: ['redis'],
  'ioredis, auto-pipelining': ['redis'],
}

/** Returns who can keep values there. */
export function contendersWith(tiers: Tiers): CacheContenderName[] {
  return (Object.keys(TIERS) as CacheContenderName[]).filter(name => TIERS[name].includes(tiers))
}

/** Returns the caches with the most tiers that each has; what is written by hand around ioredis is none. */
export function fullestTiers(): [CacheContenderName, Tiers][] {
  return (Object.keys(TIERS) as CacheContenderName[])
    .filter(name => !name.startsWith('ioredis'))
    .map(name => [name, TIERS[name].includes('both') ? 'both' : 'redis'])
}

export function importContender(name: CacheContenderName): Promise<CacheContender> {
  return contenders[name]()
}
