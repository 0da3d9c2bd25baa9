/** A space with a guard over a table that lives in the test. */

import type { Cache } from '../cache.js'
import type { Instances } from '../instances.fixture.js'
import type { Space } from '../space.js'
import { bloomGuard } from './bloom-guard.js'
import type { BloomGuardOptions } from './guard-options.js'

/** A table of ids, read by loaders and scans, with what was asked of it. */
export class Table {
  readonly ids = new Set<number>()
  loads = 0
  scans = 0

  constructor(ids: Iterable<number>) {
    for (const id of ids) this.ids.add(id)
  }

  readonly load = async (id: number): Promise<{ id: number } | null> => {
    this.loads++
    return this.ids.has(id) ? { id } : null
  };

  *scan(): Iterable<number> {
    this.scans++
    yield* this.ids
  }
}

/** Chance that never picks an answer for the audit, so that no load is the audit's; and one that always does. */
export const UNAUDITED = { random: () => 0.5 }
export const AUDITED = { random: () => 0 }

export interface Guarded {
  readonly cache: Cache
  readonly space: Space<{ id: number }, number>
}

export function guarded(cache: Cache, table: Table, options: Partial<BloomGuardOptions> = {}): Guarded {
  const guard = bloomGuard({ scan: () => table.scan(), expected: 1_000, errorRate: 0.0001, ...options })
  const space = cache.space<{ id: number }, number>('row', { ttl: '1m', absentTtl: '1m', load: table.load, guard })
  return { cache, space }
}

/** Unaudited. */
export async function ready(
  instances: Instances,
  table: Table,
  options?: Partial<BloomGuardOptions>,
): Promise<Guarded> {
  const made = guarded(instances.make(UNAUDITED), table, options)
  await made.cache.initGuards()
  return made
}

export const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)
export const keysOf = (instances: Instances, part: string): Promise<string[]> =>
  instances.redis.keys(`${instances.namespace}:*:g:row:${part}`)
