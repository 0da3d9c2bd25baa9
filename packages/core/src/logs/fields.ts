/** The fields that every line has. Source: OpenTelemetry, "Trace Context in non-OTLP Log Formats". */

import { currentTrace } from '../tracing/trace-context.js'

/** `trace_id`, `span_id` and `trace_flags` of the work at hand; empty outside of any trace. */
export function traceFields(): { trace_id: string; span_id: string; trace_flags: string } | Record<never, never> {
  const ids = currentTrace()
  return ids ? { trace_id: ids.traceId, span_id: ids.spanId, trace_flags: ids.flags } : {}
}
