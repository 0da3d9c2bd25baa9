/** A function whose results are kept: `cache.wrap`. */

import { BreakwaterError } from '@breakwater/kernel'
import type { CacheKey } from './keys.js'
import type { LoaderContext, SpaceOptions } from './options.js'
import type { Space } from './space.js'

export interface WrapOptions<A extends readonly unknown[], V>
  extends Omit<SpaceOptions<V>, 'load' | 'loadMany' | 'batchSize' | 'guard'> {
  /** The space's name: letters, digits, `_`, `.`, `-`, 1 to 64. Default the function's own. */
  name?: string
  /** The key of a call. Default its arguments, which must then be strings, numbers or bigints. */
  key?: (...args: A) => CacheKey
}

export interface Wrapped<A extends readonly unknown[], V> {
  (...args: A): Promise<V | null>
  /** Where the results are kept, by the key of their call: to delete, expire or count them. */
  readonly space: Pick<Space<V>, 'name' | 'stats' | 'delete' | 'deleteMany' | 'expire' | 'clear' | 'peek'>
}

interface Owner {
  space<V>(name: string, options: SpaceOptions<V>): Space<V>
}

/** @throws {BreakwaterError} kind `usage`, code `CACHE_OPTIONS_INVALID`. */
export function wrapped<A extends readonly unknown[], V>(
  owner: Owner,
  fn: (...args: A) => Promise<V | null> | V | null,
  options: WrapOptions<A, V>,
): Wrapped<A, V> {
  const { name = fn.name, key = (...args: A) => args as unknown as CacheKey, ...rest } = options
  if (typeof fn !== 'function' || typeof key !== 'function') {
    throw new BreakwaterError('usage', 'CACHE_OPTIONS_INVALID', 'wrap takes a function, and a function for its key')
  }
  const space = owner.space<V>(name, rest)
  const call = (...args: A): Promise<V | null> =>
    space.getOrLoad(key(...args), (_id: CacheKey, _context: LoaderContext<V>) => fn(...args))
  return Object.assign(call, { space })
}
