/** What a request is about, as far as a stop has to know. */

import type { IncomingMessage } from 'node:http'

export type Probe = 'live' | 'ready' | 'startup'

const PROBES: Readonly<Record<string, Probe>> = Object.assign(Object.create(null), {
  '/live': 'live',
  '/ready': 'ready',
  '/startup': 'startup',
})

/** Returns the path without the query, which may hold what nobody should read in a log. */
export function pathOf(request: IncomingMessage): string {
  const url = request.url ?? '/'
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}

/** Returns which probe a request is, if it is one. */
export function probeOf(request: IncomingMessage): Probe | undefined {
  return PROBES[pathOf(request)]
}

/** Version 00 of the header alone; its first id may not be all zeros. Source: W3C, Trace Context. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Returns the id of the trace that a request came with. */
export function traceIdOf(request: IncomingMessage): string | undefined {
  const { traceparent } = request.headers
  return typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent)?.[1] : undefined
}
