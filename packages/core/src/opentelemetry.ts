/**
 * The one door to OpenTelemetry's API, an entry of its own (`@breakwater/core/opentelemetry`), so that nobody needs the API
 * who does not use it: metrics, spans, and the ids of the trace for log lines. No SDK: that is the application's.
 */

import { tracingChannel } from 'node:diagnostics_channel'
import type { Cache, LoadMessage, RedisMessage } from '@breakwater/cache'
import type { AcquireMessage, Pool, QueryMessage } from '@breakwater/pool'
import {
  type Attributes,
  metrics,
  type Observable,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { LifecycleEvent } from './lifecycle/events.js'
import { reasonOf } from './lifecycle/failure.js'
import { CATALOG, type MetricName } from './metrics/catalog.js'
import { named, serverLabels } from './metrics/pool-samples.js'
import type { Metered } from './metrics/prometheus.js'
import { type SpanRecord, spansOf } from './timeline/spans.js'
import type { Timeline } from './timeline/timeline.js'
import { summaryOf, withoutValues } from './tracing/query-text.js'
import { addTraceSource } from './tracing/trace-context.js'

export interface OpenTelemetryOptions {
  /** Pools beside the data access's own. */
  readonly pools?: readonly Pool[]
  /** Default true. */
  readonly metrics?: boolean
  /**
   * Of queries and waits for a connection (of every pool in the process), loads, operations of the cache's Redis, the start
   * and the stop. Default true.
   */
  readonly spans?: boolean
}

/** What is told of: a data access. */
export interface Observed extends Metered {
  readonly pool: Pool
  readonly cache: Cache
  observe(listener: (event: LifecycleEvent) => void): () => void
  timeline(): Timeline
}

const SCOPE = '@breakwater/core'
/** Source: OpenTelemetry's advice for `db.client.operation.duration`. */
const BOUNDS_S = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]

/**
 * Tells OpenTelemetry of a data access, until the returned function is called. Call it when the SDK has been started, and
 * before `init()`.
 */
export function openTelemetry(data: Observed, options: OpenTelemetryOptions = {}): () => void {
  const stops = [addTraceSource(activeTrace)]
  if (options.metrics !== false) stops.push(...tellMetrics(data, options.pools ?? []))
  if (options.spans !== false) stops.push(...tellSpans(data))
  return () => {
    for (const stop of stops) stop()
  }
}

function activeTrace(): ReturnType<Parameters<typeof addTraceSource>[0]> {
  const span = trace.getActiveSpan()?.spanContext()
  if (span === undefined) return undefined
  return { traceId: span.traceId, spanId: span.spanId, flags: span.traceFlags.toString(16).padStart(2, '0') }
}

// Metrics

function tellMetrics(data: Observed, pools: readonly Pool[]): (() => void)[] {
  const meter = metrics.getMeter(SCOPE)
  const observables = new Map<MetricName, Observable>()
  for (const name of Object.keys(CATALOG) as MetricName[]) {
    const { type, unit, help: description } = CATALOG[name]
    if (type === 'histogram') continue
    // A sum of instances makes sense of what is counted, and none of a state or a time.
    const isSum = unit.startsWith('{') || unit === 'By'
    const create =
      type === 'counter' ? 'createObservableCounter' : isSum ? 'createObservableUpDownCounter' : 'createObservableGauge'
    observables.set(name, meter[create](name, { unit, description }))
  }
  const all = [...observables.values()]
  const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = result => {
    for (const { name, labels, value } of data.metrics({ pools })) {
      const observable = observables.get(name)
      if (observable !== undefined) result.observe(observable, value as number, labels)
    }
  }
  meter.addBatchObservableCallback(observe, all)

  const histogram = (name: MetricName) => {
    const { unit, help: description } = CATALOG[name]
    return meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: BOUNDS_S } })
  }
  // Histograms cannot be observed from outside, so each duration is recorded as it comes.
  const times = {
    query: histogram('db.client.operation.duration'),
    create: histogram('db.client.connection.create_time'),
    wait: histogram('db.client.connection.wait_time'),
    use: histogram('db.client.connection.use_time'),
  }
  const stops = [...named([data.pool, ...pools])].map(([name, pool]) => {
    const labels = { 'db.client.connection.pool.name': name }
    let server: Attributes | undefined
    return pool.observeDurations(duration => {
      const { type, ms } = duration
      if (type !== 'query') return times[type].record(ms / 1_000, labels)
      // Known by now: the query had a connection.
      server ??= attributesOf(pool.stats().server)
      const errorType = duration.errorType === undefined ? {} : { 'error.type': duration.errorType }
      times.query.record(ms / 1_000, { ...labels, ...server, ...errorType })
    })
  })
  const loads = histogram('breakwater.cache.load.duration')
  const stopLoads = data.cache.observeDurations(({ space, ms }) => {
    loads.record(ms / 1_000, { 'breakwater.cache.space': space })
  })
  return [() => meter.removeBatchObservableCallback(observe, all), stopLoads, ...stops]
}

function attributesOf(server: QueryMessage['server']): Attributes {
  const { 'server.port': port, ...labels } = serverLabels({ server })
  return { ...labels, ...(port !== undefined && { 'server.port': Number(port) }) } as Attributes
}

// Spans

function tellSpans(data: Observed): (() => void)[] {
  const tracer = trace.getTracer(SCOPE)
  const stopQueries = traceChannel<QueryMessage>('breakwater:query', ({ text, pool, server }) => {
    const summary = summaryOf(text)
    return tracer.startSpan(summary, {
      kind: SpanKind.CLIENT,
      attributes: {
        ...attributesOf(server),
        'db.client.connection.pool.name': pool,
        'db.query.summary': summary,
        'db.query.text': withoutValues(text),
      },
    })
  })
  const stopLoads = traceChannel<LoadMessage>('breakwater:cache:load', ({ space }) =>
    tracer.startSpan(`cache load ${space}`, { attributes: { 'breakwater.cache.space': space } }),
  )
  const stopAcquires = traceChannel<AcquireMessage>('breakwater:acquire', ({ pool }) =>
    tracer.startSpan(`acquire ${pool}`, { attributes: { 'db.client.connection.pool.name': pool } }),
  )
  const stopRedis = traceChannel<RedisMessage>('breakwater:cache:redis', ({ operation }) =>
    tracer.startSpan(`redis ${operation}`, {
      kind: SpanKind.CLIENT,
      attributes: { 'db.system.name': 'redis', 'db.operation.name': operation },
    }),
  )
  const stopLifecycle = data.observe(event => {
    if (event.type === 'lifecycle.ready') writeSpans(tracer, spansOf(data.timeline(), 'start'))
    else if (event.type === 'lifecycle.stopped') writeSpans(tracer, spansOf(data.timeline(), 'stop'))
  })
  return [stopQueries, stopLoads, stopAcquires, stopRedis, stopLifecycle]
}

/** Makes a span of each message, from its start to its end. */
function traceChannel<M extends { error?: unknown }>(name: string, begin: (message: M) => Span): () => void {
  const channel = tracingChannel<M, M>(name)
  const spans = new WeakMap<M, Span>()
  const subscribers = {
    start: (message: M): void => void spans.set(message, begin(message)),
    end: (): void => {},
    asyncStart: (): void => {},
    asyncEnd: (message: M): void => {
      const span = spans.get(message)
      if (span === undefined) return
      if (message.error !== undefined) fail(span, reasonOf(message.error))
      span.end()
    },
    error: (): void => {},
  }
  channel.subscribe(subscribers)
  return () => void channel.unsubscribe(subscribers)
}

function fail(span: Span, reason: string): void {
  span.setAttribute('error.type', reason)
  // No message: that of a driver may hold a value.
  span.setStatus({ code: SpanStatusCode.ERROR, message: reason })
}

function writeSpans(tracer: Tracer, { name, startTime, endTime, failure, within }: SpanRecord): void {
  tracer.startActiveSpan(name, { startTime }, span => {
    for (const each of within) writeSpans(tracer, each)
    if (failure !== undefined) fail(span, failure)
    span.end(endTime)
  })
}
