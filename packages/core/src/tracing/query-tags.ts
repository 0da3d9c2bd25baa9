/** Says behind each query which trace it belongs to. */

import type { QueryTags } from '@breakwater/pool'
import { currentTrace, traceparentOf } from './trace-context.js'

/** `true`: the trace of the work at hand; tags, such as `{ application: 'orders' }`: those beside it. */
export type SqlcommenterOption = boolean | Readonly<Record<string, string>>

/** Returns what a pool calls for each query, if anything. */
export function queryTagsOf(option: SqlcommenterOption = false): (() => QueryTags) | undefined {
  if (option === false) return undefined
  const fixed = option === true ? {} : option
  return () => {
    const trace = currentTrace()
    return trace ? { ...fixed, traceparent: traceparentOf(trace) } : fixed
  }
}
